# SPDX-License-Identifier: GPL-3.0-or-later
"""How much an archive may ask for."""

LAYER_BYTES = 64 << 30  # of one layer, unpacked
ENTRIES = 1 << 20  # of one layer
PATH_BYTES = 4095  # PATH_MAX without the NUL
NAME_BYTES = 255  # NAME_MAX
DEPTH = 256  # components of a path
HEADER_BYTES = 1 << 20  # of one extended header
XATTRS = 64  # of one entry
XATTR_BYTES = 64 << 10  # XATTR_SIZE_MAX
SPARSE_SEGMENTS = 1 << 16  # of one file
SEGMENT_PATHS = 512 << 20  # bytes of the paths of all pieces of files of one layer: each is kept with its own
REPLACED_PATHS = 64 << 20  # bytes of the paths of all that a layer replaces of its own
ID = 65_535  # containers have 65,536 user and group ids
LOOKS = 1 << 20  # at directories of layers, for those that the archives of what is brought in at once do not name
OPEN_DIRECTORIES = 1 << 14  # at a time, by one that looks; a service has 524,288
REPLACED_DIRECTORIES = 1_000  # of one layer
PADDING = 64 << 20  # zeros behind the end of an archive
# gzip reaches 1,032:1 at most, zstd and xz more; what is worth having stays far below.
RATIO = 200
RATIO_FREE = 256 << 20  # bytes that may come out before the ratio counts
SPACE_SHARE = 20  # one part in so many of the file system stays free
SPACE_BYTES = 1 << 30  # or so much, where that is less
SPACE_INODES = 1 << 16  # the same of those, where a file system has a number of them
MEMORY = 1 << 30  # address space of the child that unpacks
WINDOW = 128 << 20  # what a decompressor may keep
MANIFEST_BYTES = 1 << 20  # of a manifest or an index; those of 256 layers have a tenth
DOCUMENTS_BYTES = 32 << 20  # of all manifests, indexes and configurations of an archive
INDEX_ENTRIES = 256
INDEX_DEPTH = 2  # an index in index.json, and one in that
