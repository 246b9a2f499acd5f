"""Guards around a fit: threads that share a process, worker processes, memory, precision, compilation."""
