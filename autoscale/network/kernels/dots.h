// Products of matrices of pairs by dot products of pairs (AVX512-BF16), for processors without tiles.

#pragma once

#include "pairs.h"

#ifdef HAS_DOTS

namespace by_dots {

constexpr Index ROWS = 12;   // whose sums stay in registers, for two groups of columns
constexpr Index FEW = 4;     // at the end of a panel
constexpr Index PANEL = 48;  // rows for which the same columns of the matrix are read
constexpr Index HALF = SIDE / 2;

// A pair of neighbouring numbers in all lanes.
ALWAYS_INLINE __m512bh everywhere(const void *pair) {
    std::uint32_t word;
    std::memcpy(&word, pair, sizeof(word));
    return (__m512bh)_mm512_set1_epi32(static_cast<int>(word));
}

ALWAYS_INLINE __m512bh pairs_at(const void *from) { return (__m512bh)_mm512_loadu_si512(from); }

// COUNT rows of `a` times GROUPS of 16 packed columns; what comes out goes to `outcome`.
template <int COUNT, int GROUPS, typename Outcome>
ALWAYS_INLINE void multiply_block(const bfloat16 *a, Index depth, const bfloat16 *b, Index b_stride,
                                  Index row, Index group, Outcome &outcome) {
    __m512 sums[GROUPS][COUNT];
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) sums[g][r] = _mm512_setzero_ps();
    for (Index k = 0; k + 1 < depth; k += 2) {
        __m512bh right[GROUPS];
#pragma GCC unroll 2
        for (int g = 0; g < GROUPS; ++g) right[g] = pairs_at(b + g * b_stride + k * SIDE);
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) {
            const __m512bh left = everywhere(a + r * depth + k);
#pragma GCC unroll 2
            for (int g = 0; g < GROUPS; ++g)
                sums[g][r] = _mm512_dpbf16_ps(sums[g][r], left, right[g]);
        }
    }
    if (depth % 2)  // the last number has no neighbour of its own row
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) {
            const std::uint32_t alone = a[r * depth + depth - 1].bits;
#pragma GCC unroll 2
            for (int g = 0; g < GROUPS; ++g)
                sums[g][r] = _mm512_dpbf16_ps(sums[g][r], everywhere(&alone),
                                              pairs_at(b + g * b_stride + (depth - 1) * SIDE));
        }
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
        outcome.take(row, COUNT, group + g, [&](Index r) ALWAYS_INLINE_LAMBDA {
            return (vec)sums[g][r];
        });
}

template <int GROUPS, typename Outcome>
void multiply_panel(const bfloat16 *a, Index depth, const bfloat16 *b, Index b_stride, Index row,
                    Index end, Index group, Outcome &outcome) {
    for (; row + ROWS <= end; row += ROWS)
        multiply_block<ROWS, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
    for (; row + FEW <= end; row += FEW)
        multiply_block<FEW, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
    for (; row < end; ++row)
        multiply_block<1, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
}

// Rows [first, last) of `outcome`: those of `a`, each of `depth` numbers, times a packed matrix.
template <typename Outcome>
void multiply_part(const bfloat16 *a, const bfloat16 *packed, Index first, Index last, Index depth,
                   Outcome &outcome) {
    const Index b_stride = tiles(depth, DEPTH) * TILE;
    for (Index row = first; row < last; row += PANEL) {
        const Index end = std::min(row + PANEL, last);
        for (Index group = 0; group < outcome.groups; group += 2) {
            const bfloat16 *b = packed + group * b_stride;
            if (group + 1 < outcome.groups)
                multiply_panel<2>(a, depth, b, b_stride, row, end, group, outcome);
            else
                multiply_panel<1>(a, depth, b, b_stride, row, end, group, outcome);
        }
        outcome.end(end - row);
    }
}

// Adds to half a tile, and to its neighbours along `wide`, the products of packed rows.
template <int GROUPS>
ALWAYS_INLINE void add_half(const std::uint32_t *narrow, const __m512i *wide, Index pairs, float *to,
                            Index to_stride) {
    constexpr Index STRIDE = BLOCK * SIDE;
    __m512 sums[GROUPS][HALF];
#pragma GCC unroll 3
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) sums[g][r] = _mm512_load_ps(to + g * to_stride + r * SIDE);
    for (Index k = 0; k < pairs; ++k) {
        __m512bh right[GROUPS];
#pragma GCC unroll 3
        for (int g = 0; g < GROUPS; ++g) right[g] = pairs_at(wide + g * STRIDE + k);
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) {
            const __m512bh own = everywhere(narrow + k * SIDE + r);
#pragma GCC unroll 3
            for (int g = 0; g < GROUPS; ++g)
                sums[g][r] = _mm512_dpbf16_ps(sums[g][r], own, right[g]);
        }
    }
#pragma GCC unroll 3
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) _mm512_store_ps(to + g * to_stride + r * SIDE, sums[g][r]);
}

// Adds to `total`, tiles of `narrow` by `wide` columns, the products of the columns over the rows.
void multiply_columns_part(const bfloat16 *narrow, const bfloat16 *wide, Index first, Index last,
                           Index narrow_columns, Index wide_columns, float *total) {
    constexpr Index GROUPS = 3;
    const Index across = tiles(narrow_columns, SIDE), along = tiles(wide_columns, SIDE);
    __m512i *lefts = reinterpret_cast<__m512i *>(scratch(0, across * BLOCK * SIDE));
    alignas(64) __m512i rights[GROUPS * BLOCK * SIDE];
    for (Index start = first; start < last; start += BLOCK * DEPTH) {
        const Index steps = std::min(BLOCK, tiles(last - start, DEPTH)), pairs = steps * SIDE;
        const auto pair = [&](const bfloat16 *map, Index columns, Index group, __m512i *to) {
            for (Index k = 0; k < steps; ++k) {
                const Index row = start + k * DEPTH;
                pair_rows(map + row * columns + group * SIDE, columns, last - row,
                          mask16(columns - group * SIDE), to + k * SIDE);
            }
        };
        for (Index p = 0; p < across; ++p) pair(narrow, narrow_columns, p, lefts + p * BLOCK * SIDE);
        for (Index q = 0; q < along; q += GROUPS) {
            const Index together = std::min(GROUPS, along - q);
            for (Index g = 0; g < together; ++g)
                pair(wide, wide_columns, q + g, rights + g * BLOCK * SIDE);
            for (Index half = 0; half < tiles(narrow_columns, HALF); ++half) {
                const Index p = half / 2, r = half % 2 * HALF, to_stride = across * SIDE * SIDE;
                const auto *left =
                    reinterpret_cast<const std::uint32_t *>(lefts + p * BLOCK * SIDE) + r;
                float *to = total + (q * across + p) * SIDE * SIDE + r * SIDE;
                switch (together) {
                    case 1: add_half<1>(left, rights, pairs, to, to_stride); break;
                    case 2: add_half<2>(left, rights, pairs, to, to_stride); break;
                    default: add_half<3>(left, rights, pairs, to, to_stride);
                }
            }
        }
    }
}

}  // namespace by_dots

#endif
