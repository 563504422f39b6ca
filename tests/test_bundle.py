"""A bundle: the same bytes for the same files, whole or not there, checked when read."""

import pytest

from neurodeploy import bundle
from neurodeploy.errors import LoadError, OutputError, VerifyError

FILES = {"run.py": b"print(1)\n", "program.h5": bytes(range(256))}


@pytest.fixture
def made():
    return bundle.make(FILES, entry="run.py", program="abc")


def test_the_same_files_give_the_same_bytes_in_any_order(made):
    again = bundle.make(dict(reversed(FILES.items())), entry="run.py", program="abc")
    assert again.archive() == made.archive()
    assert again.digest() == made.digest()


def test_another_byte_or_another_program_gives_another_digest(made):
    touched = bundle.make({**FILES, "run.py": b"print(2)\n"}, entry="run.py", program="abc")
    other = bundle.make(FILES, entry="run.py", program="abd")
    assert len({made.digest(), touched.digest(), other.digest()}) == 3


def test_what_was_written_reads_back(made, tmp_path):
    written = made.write(tmp_path / "deep" / "bundle")
    again = bundle.read(written.path)
    assert dict(again.files) == dict(made.files)
    assert (again.entry, again.program, again.path) == ("run.py", "abc", written.path)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["bundle"]


def test_a_bundle_replaces_a_bundle_and_leaves_nothing_of_it(made, tmp_path):
    bundle.make({"old.py": b""}, entry="old.py", program="x").write(tmp_path / "b")
    made.write(tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == sorted(made.files)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_folder_with_other_things_in_it_is_refused_and_untouched(made, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not empty and not a bundle; name another folder"):
        made.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_folders_place_is_refused(made, tmp_path):
    (tmp_path / "b").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        made.write(tmp_path / "b")


@pytest.mark.parametrize(("name", "content"), [("run.py", b"print(3)\n"), ("program.h5", b"")])
def test_a_changed_file_is_noticed(made, tmp_path, name, content):
    made.write(tmp_path / "b")
    (tmp_path / "b" / name).write_bytes(content)
    with pytest.raises(LoadError, match=f"'{name}' is not as it was written; emit it again"):
        bundle.read(tmp_path / "b")


def test_a_missing_file_is_noticed(made, tmp_path):
    made.write(tmp_path / "b")
    (tmp_path / "b" / "run.py").unlink()
    with pytest.raises(LoadError, match=r"'run\.py' cannot be read"):
        bundle.read(tmp_path / "b")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 3}', '{"files": []}'])
def test_a_broken_manifest_is_one_sentence(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(LoadError, match="emit it again"):
        bundle.read(tmp_path)


def test_a_manifest_cannot_lead_out_of_its_folder(made, tmp_path):
    made.write(tmp_path / "b")
    manifest = tmp_path / "b" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("program.h5", "../program.h5"))
    with pytest.raises(LoadError, match="leads out of the folder"):
        bundle.read(tmp_path / "b")


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path):
    with pytest.raises(LoadError, match=r"it has no manifest\.json"):
        bundle.read(tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "manifest.json", ".."])
def test_a_bundle_is_not_made_of_odd_names(name):
    with pytest.raises(VerifyError):
        bundle.make({**FILES, name: b""}, entry="run.py", program="abc")
