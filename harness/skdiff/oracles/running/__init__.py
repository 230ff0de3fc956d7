"""The running kernel as an oracle: real sockets in a namespace of their own, asked by BPF helpers."""
