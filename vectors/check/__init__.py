"""The runner in Python: what runner/src is in Rust, for implementations in this language."""
