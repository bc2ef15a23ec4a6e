// Products of matrices of pairs by dot products of pairs (AVX512-BF16), for processors without tiles.

#pragma once

#include "pairs.h"
#include "rows.h"

#ifdef HAS_DOTS

namespace by_dots {

constexpr Index HALF = SIDE / 2;

// A pair of neighbouring numbers in all lanes.
ALWAYS_INLINE __m512bh everywhere(const void *pair) {
    std::uint32_t word;
    std::memcpy(&word, pair, sizeof(word));
    return (__m512bh)_mm512_set1_epi32(static_cast<int>(word));
}

ALWAYS_INLINE __m512bh pairs_at(const void *from) { return (__m512bh)_mm512_loadu_si512(from); }

// What `multiply_panels` multiplies: pairs of a row's neighbours by pairs of packed rows.
struct Pairs {
    using Factor = bfloat16;
    using Factors = __m512bh;
    static constexpr Index STEP = 2;
    static constexpr int ROWS = 12;  // whose sums stay in registers, for two groups of columns
    static Index packed_rows(Index depth) { return tiles(depth, DEPTH) * DEPTH; }
    ALWAYS_INLINE static Factors factors(const bfloat16 *from) { return pairs_at(from); }
    ALWAYS_INLINE static Factors numbers(const bfloat16 *from) { return everywhere(from); }
    ALWAYS_INLINE static Factors alone(const bfloat16 *from) {
        const std::uint32_t word = from->bits;
        return everywhere(&word);
    }
    ALWAYS_INLINE static vec add(vec sum, Factors left, Factors right) {
        return (vec)_mm512_dpbf16_ps((__m512)sum, left, right);
    }
};

template <typename Outcome>
void multiply_part(const bfloat16 *a, const bfloat16 *packed, Index first, Index last, Index depth,
                   Outcome &outcome) {
    multiply_panels<Pairs>(a, packed, first, last, depth, outcome);
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
