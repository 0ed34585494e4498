"""Every number by which the room decides or divides work, in one place.

None of them was measured on a GPU yet. They follow from sizes: of tiles, of an H100's 132 multiprocessors, of memory.
"""

WORKSPACE = 1 << 28  # bytes of scratch memory that one pass may take: columns, transformed tiles, partial sums
CACHE = 24 << 20  # bytes of transformed tiles at once: half of an H100's L2 of 50 MB, where they wait for the next step
MULTIPROCESSORS = 132  # of an H100
BLOCKS = 528  # blocks that keep a large GPU busy: four on each multiprocessor
ALONE = 1.25  # in how much of its time a multiprocessor with a single block does its work: all wait at each barrier
JOIN = 512  # eighths of a term in whose time a part of 128 x 128 is written to the L2 cache, read there and joined
LAUNCH = 256  # the same for one more launch: 3 microseconds, where a term of 128 x 128 takes a ninth of one
MANY_PARTS = 16  # that eight threads add up, and not one: it would wait for memory twice and more
SHORTEST_SUM = 256  # terms of a weight gradient's part, below which its own loads and stores show
SHORTEST_PRODUCT = 128  # the same for cuBLAS's: the factors of a tile of 64 x 64 are then four times the tile
LONGEST_SUM = 4096  # terms that one thread adds up; more are cut into parts that are joined in double
TILE = 64  # rows and columns of the result that a block of cuBLAS has, or more
ALIGNED = 16  # bytes that cuBLAS loads at once, if rows begin at multiples of it
# Pixels of a map below which images are gathered into one product: tiles of 64 x 64 would be half empty.
FEW_POSITIONS = 128
WINOGRAD_CHANNELS = 32  # channels with which the products of Winograd's transforms are worth the transforms
FEW_CHANNELS = 16  # inputs of a group with which a tile of rows, 16 at least, multiplies mostly nothing
EXACT_CHANNELS = 64  # the same for F(2x2, 3x3), which saves less
