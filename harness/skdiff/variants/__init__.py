"""What differs from kernel to kernel, as data: rules that came with a version, and options of the configuration."""
