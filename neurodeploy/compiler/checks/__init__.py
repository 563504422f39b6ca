"""One function per limit: each looks at a Program and yields what does not fit."""
