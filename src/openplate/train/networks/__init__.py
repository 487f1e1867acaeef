"""The networks, one file each: shapes in, shapes out, nothing about training or files."""
