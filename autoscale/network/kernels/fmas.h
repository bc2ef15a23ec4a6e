// Products of matrices by multiply-adds of float32, on any processor. Maps may be of either kind of
// numbers; what they are multiplied by is float32.

#pragma once

#include "rows.h"

namespace by_fmas {

#ifdef __AVX512F__
constexpr Index HALF = 8;  // columns of a narrow map whose sums stay in registers, for three groups
#else
constexpr Index HALF = 4;
#endif
constexpr Index BLOCK = 128;  // rows of which a narrow map's columns are put side by side

// What `multiply_panels` multiplies: single numbers by packed rows.
struct Singles {
    using Factor = float;
    using Factors = vec;
    static constexpr Index STEP = 1;
    static constexpr int ROWS = LANES == 16 ? 12 : 6;  // whose sums stay in registers, as of `Pairs`
    static Index packed_rows(Index depth) { return depth; }
    ALWAYS_INLINE static vec factors(const float *from) { return load(from, SIDE); }
    ALWAYS_INLINE static float numbers(const float *from) { return *from; }
    ALWAYS_INLINE static float numbers(const bfloat16 *from) { return at(Lanes<1>(), from)[0]; }
    ALWAYS_INLINE static vec add(vec sum, float left, vec right) { return sum + left * right; }
};

template <typename Outcome>
void multiply_part(const Number *a, const float *packed, Index first, Index last, Index depth,
                   Outcome &outcome) {
    multiply_panels<Singles>(a, packed, first, last, depth, outcome);
}

// Adds the products of HALF narrow columns with GROUPS groups of wide ones; of the last group there
// may be fewer unless WHOLE.
template <int GROUPS, bool WHOLE>
ALWAYS_INLINE void add_half(const float *narrow, const Number *wide, Index stride, Index last,
                            Index rows, float *to, Index to_stride) {
    vec sums[GROUPS][HALF];
#pragma GCC unroll 3
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) sums[g][r] = load(to + g * to_stride + r * SIDE, SIDE);
    for (Index k = 0; k < rows; ++k) {
        vec right[GROUPS];
#pragma GCC unroll 3
        for (int g = 0; g < GROUPS; ++g)
            right[g] = load(wide + k * stride + g * SIDE, WHOLE || g + 1 < GROUPS ? SIDE : last);
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) {
            const float own = narrow[k * SIDE + r];
#pragma GCC unroll 3
            for (int g = 0; g < GROUPS; ++g) sums[g][r] += own * right[g];
        }
    }
#pragma GCC unroll 3
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 8
        for (int r = 0; r < HALF; ++r) store(to + g * to_stride + r * SIDE, sums[g][r], SIDE);
}

// Adds to `total`, tiles of `narrow` by `wide` columns, the products of the columns over the rows.
inline void multiply_columns_part(const Number *narrow, const Number *wide, Index first, Index last,
                                  Index narrow_columns, Index wide_columns, float *total) {
    constexpr Index GROUPS = 3;
    const Index across = tiles(narrow_columns, SIDE), along = tiles(wide_columns, SIDE);
    const Index to_stride = across * SIDE * SIDE;
    float *lefts = reinterpret_cast<float *>(scratch(0, across * BLOCK));
    for (Index start = first; start < last; start += BLOCK) {
        const Index rows = std::min(BLOCK, last - start);
        for (Index p = 0; p < across; ++p) {
            const Index lanes = std::min(SIDE, narrow_columns - p * SIDE);
            for (Index k = 0; k < rows; ++k)
                store(lefts + (p * BLOCK + k) * SIDE,
                      load(narrow + (start + k) * narrow_columns + p * SIDE, lanes), SIDE);
        }
        for (Index q = 0; q < along; q += GROUPS) {
            const Index together = std::min(GROUPS, along - q);
            const Index left = std::min(SIDE, wide_columns - (q + together - 1) * SIDE);
            const Number *from = wide + start * wide_columns + q * SIDE;
            for (Index half = 0; half < tiles(narrow_columns, HALF); ++half) {
                const Index p = half * HALF / SIDE, r = half * HALF % SIDE;
                const float *own = lefts + p * BLOCK * SIDE + r;
                float *to = total + (q * across + p) * SIDE * SIDE + r * SIDE;
                const auto add = [&](auto groups) ALWAYS_INLINE_LAMBDA {
                    if (left == SIDE)
                        add_half<groups(), true>(own, from, wide_columns, left, rows, to, to_stride);
                    else
                        add_half<groups(), false>(own, from, wide_columns, left, rows, to, to_stride);
                };
                switch (together) {
                    case 1: add(std::integral_constant<int, 1>()); break;
                    case 2: add(std::integral_constant<int, 2>()); break;
                    default: add(std::integral_constant<int, 3>());
                }
            }
        }
    }
}

// The numbers that `pack_matrix` writes.
inline Index packed_size(Index depth, Index columns) { return depth * tiles(columns, SIDE) * SIDE; }

// A matrix of `depth` by `columns`, at strides of these numbers of which one is 1: groups of SIDE
// columns, of each its rows one after the other.
inline void pack_matrix(const float *matrix, Index down, Index along, float *to, Index depth,
                        Index columns) {
    for (Index c = 0; c < columns; c += SIDE, to += depth * SIDE) {
        const Index own = std::min(SIDE, columns - c);
        if (along == 1)
            for (Index k = 0; k < depth; ++k)
                store(to + k * SIDE, load(matrix + k * down + c, own), SIDE);
        else
            for (Index k = 0; k < depth; k += SIDE)
                turn_block(matrix + c * along + k, along, own, std::min(SIDE, depth - k),
                           to + k * SIDE);
    }
}

}  // namespace by_fmas
