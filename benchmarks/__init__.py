"""burst_magic measured, beside its peers: ``python -m benchmarks`` (``make bench``)."""
