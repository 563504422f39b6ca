"""Runs over many samples, in shards that can be resumed, on this machine's cores or on a Dask cluster.

A run is a `job` (what is run, and how) and samples. `shards` cuts the samples, keeps what is done and joins
it; `cluster` has shards run by Dask's workers, `worker` is what happens there, `wire` how a job gets there.
"""
