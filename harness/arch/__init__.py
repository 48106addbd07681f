"""Whether an image can run on a node: platforms as containerd matches them, programs as their ELF files are built."""
