// Products of matrices of pairs by the processor's tiles (AMX).

#pragma once

#include "pairs.h"

#ifdef HAS_TILES

#include <sys/syscall.h>
#include <unistd.h>

namespace by_tiles {

// Asks the system once for the tiles' registers.
inline bool allowed() {
    constexpr long ASK = 0x1023, TILE_DATA = 18;  // of arch_prctl
    static const bool granted = syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
    return granted;
}

// Whole tiles in all eight registers, as long as it lives.
struct Tiles {
    Tiles() {
        alignas(64) std::uint8_t configuration[64] = {1};
        for (int tile = 0; tile < 8; ++tile) {
            configuration[16 + 2 * tile] = 64;
            configuration[48 + tile] = SIDE;
        }
        _tile_loadconfig(configuration);
    }
    ~Tiles() { _tile_release(); }
};

// What was stored before is in memory when tiles are loaded: the compiler does not see them read it.
ALWAYS_INLINE void written() { __asm__ volatile("" ::: "memory"); }

// 32 rows by up to two tiles of columns of `a` times packed weights, to `sums`, two tiles a row.
template <int COLUMNS>
ALWAYS_INLINE void multiply_block(const bfloat16 *a, Index stride, const bfloat16 *rest, Index depth,
                                  const bfloat16 *b, Index b_stride, float *sums) {
    written();
    _tile_zero(0);
    _tile_zero(1);
    if (COLUMNS > 1) {
        _tile_zero(2);
        _tile_zero(3);
    }
    const Index whole = depth / DEPTH, all = tiles(depth, DEPTH);
    for (Index k = 0; k < all; ++k) {
        const bfloat16 *from = k < whole ? a + k * DEPTH : rest;
        const Index bytes = 2 * (k < whole ? stride : DEPTH);
        _tile_loadd(4, from, bytes);
        _tile_loadd(5, reinterpret_cast<const char *>(from) + SIDE * bytes, bytes);
        _tile_loadd(6, b + k * TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        if (COLUMNS > 1) {
            _tile_loadd(7, b + b_stride + k * TILE, 64);
            _tile_dpbf16ps(2, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, 128);
    _tile_stored(1, sums + SIDE * DEPTH, 128);
    if (COLUMNS > 1) {
        _tile_stored(2, sums + SIDE, 128);
        _tile_stored(3, sums + SIDE * DEPTH + SIDE, 128);
    }
}

// Rows [first, last) of `outcome`: those of `a`, each of `depth` numbers, times a packed matrix.
template <typename Outcome>
void multiply_part(const bfloat16 *a, const bfloat16 *packed, Index first, Index last, Index depth,
                   Outcome &outcome) {
    const Tiles configured;
    const Index b_stride = tiles(depth, DEPTH) * TILE, left = depth % DEPTH, size = DEPTH * depth;
    alignas(64) float sums[DEPTH * DEPTH];
    alignas(64) bfloat16 rest[DEPTH * DEPTH];
    // The last rows, made 32 by zeros.
    bfloat16 *ends = reinterpret_cast<bfloat16 *>(scratch(0, size / (2 * LANES) + 1));
    for (Index row = first; row < last; row += DEPTH) {
        const Index rows = std::min(DEPTH, last - row);
        const bfloat16 *from = a + row * depth;
        if (rows < DEPTH) {
            std::memset(ends, 0, size * sizeof(bfloat16));
            std::memcpy(ends, from, rows * depth * sizeof(bfloat16));
            from = ends;
        }
        if (left) {
            const __mmask32 mask = (1u << left) - 1;
            for (Index r = 0; r < DEPTH; ++r)
                _mm512_store_si512(rest + r * DEPTH,
                                   _mm512_maskz_loadu_epi16(mask, from + (r + 1) * depth - left));
        }
        for (Index group = 0; group < outcome.groups; group += 2) {
            const bfloat16 *b = packed + group * b_stride;
            const Index together = std::min<Index>(2, outcome.groups - group);
            if (together == 2)
                multiply_block<2>(from, depth, rest, depth, b, b_stride, sums);
            else
                multiply_block<1>(from, depth, rest, depth, b, b_stride, sums);
            for (Index own = 0; own < together; ++own)
                outcome.take(row, rows, group + own, [&](Index r) ALWAYS_INLINE_LAMBDA {
                    return load(sums + own * SIDE + r * DEPTH, SIDE);
                });
        }
        outcome.end(rows);
    }
}

// Adds to COUNT tiles at `to` the products of as many packed ones, `steps` each, with those at `b`.
template <int COUNT>
ALWAYS_INLINE void add_tiles(const __m512i *a, const __m512i *b, Index steps, float *to) {
    constexpr Index STEP = BLOCK * SIDE, SIZE = SIDE * SIDE;
    _tile_loadd(0, to, 64);
    if (COUNT > 1) _tile_loadd(1, to + SIZE, 64);
    if (COUNT > 2) _tile_loadd(2, to + 2 * SIZE, 64);
    if (COUNT > 3) _tile_loadd(3, to + 3 * SIZE, 64);
    for (Index k = 0; k < steps; ++k, a += SIDE, b += SIDE) {
        _tile_loadd(7, b, 64);
        _tile_loadd(4, a, 64);
        _tile_dpbf16ps(0, 4, 7);
        if (COUNT > 1) {
            _tile_loadd(5, a + STEP, 64);
            _tile_dpbf16ps(1, 5, 7);
        }
        if (COUNT > 2) {
            _tile_loadd(6, a + 2 * STEP, 64);
            _tile_dpbf16ps(2, 6, 7);
        }
        if (COUNT > 3) {
            _tile_loadd(4, a + 3 * STEP, 64);
            _tile_dpbf16ps(3, 4, 7);
        }
    }
    _tile_stored(0, to, 64);
    if (COUNT > 1) _tile_stored(1, to + SIZE, 64);
    if (COUNT > 2) _tile_stored(2, to + 2 * SIZE, 64);
    if (COUNT > 3) _tile_stored(3, to + 3 * SIZE, 64);
}

// Adds to `total`, tiles of `narrow` by `wide` columns, the products of the columns over the rows.
void multiply_columns_part(const bfloat16 *narrow, const bfloat16 *wide, Index first, Index last,
                           Index narrow_columns, Index wide_columns, float *total) {
    const Tiles configured;
    const Index across = tiles(narrow_columns, SIDE), along = tiles(wide_columns, SIDE);
    __m512i *turned = reinterpret_cast<__m512i *>(scratch(0, across * BLOCK * SIDE));
    alignas(64) __m512i pairs[BLOCK * SIDE];
    for (Index start = first; start < last; start += BLOCK * DEPTH) {
        const Index steps = std::min(BLOCK, tiles(last - start, DEPTH));
        for (Index p = 0; p < across; ++p)
            for (Index k = 0; k < steps; ++k) {
                const Index row = start + k * DEPTH;
                __m512i *to = turned + (p * BLOCK + k) * SIDE;
                pair_rows(narrow + row * narrow_columns + p * SIDE, narrow_columns, last - row,
                          mask16(narrow_columns - p * SIDE), to);
                transpose(to);
            }
        for (Index q = 0; q < along; ++q) {
            for (Index k = 0; k < steps; ++k) {
                const Index row = start + k * DEPTH;
                pair_rows(wide + row * wide_columns + q * SIDE, wide_columns, last - row,
                          mask16(wide_columns - q * SIDE), pairs + k * SIDE);
            }
            for (Index p = 0; p < across; p += 4) {
                const Index together = std::min<Index>(4, across - p);
                float *to = total + (q * across + p) * SIDE * SIDE;
                const __m512i *from = turned + p * BLOCK * SIDE;
                written();
                switch (together) {
                    case 1: add_tiles<1>(from, pairs, steps, to); break;
                    case 2: add_tiles<2>(from, pairs, steps, to); break;
                    case 3: add_tiles<3>(from, pairs, steps, to); break;
                    default: add_tiles<4>(from, pairs, steps, to);
                }
            }
        }
    }
}

}  // namespace by_tiles

#endif
