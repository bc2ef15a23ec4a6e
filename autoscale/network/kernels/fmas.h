// Products of matrices by multiply-adds of float32, on any processor. Maps may be of either kind of
// numbers; what they are multiplied by is float32.

#pragma once

#include "outcome.h"

namespace by_fmas {

#ifdef __AVX512F__
constexpr Index ROWS = 12;  // whose sums stay in registers, for two groups of columns
constexpr Index HALF = 8;   // columns of a narrow map whose sums stay there, for three of a wide one
#else
constexpr Index ROWS = 6;
constexpr Index HALF = 4;
#endif
constexpr Index FEW = ROWS / 3;  // at the end of a panel
constexpr Index PANEL = 48;      // rows for which the same columns of the matrix are read
constexpr Index BLOCK = 128;     // rows of which a narrow map's columns are put side by side

ALWAYS_INLINE float single(const float *number) { return *number; }
ALWAYS_INLINE float single(const bfloat16 *number) { return at(Lanes<1>(), number)[0]; }

// COUNT rows of `a` times GROUPS groups of packed columns; what comes out goes to `outcome`.
template <int COUNT, int GROUPS, typename Outcome>
ALWAYS_INLINE void multiply_block(const Number *a, Index depth, const float *b, Index b_stride,
                                  Index row, Index group, Outcome &outcome) {
    vec sums[GROUPS][COUNT];
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) sums[g][r] = vec{};
    for (Index k = 0; k < depth; ++k) {
        vec right[GROUPS];
#pragma GCC unroll 2
        for (int g = 0; g < GROUPS; ++g) right[g] = load(b + g * b_stride + k * SIDE, SIDE);
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) {
            const float left = single(a + r * depth + k);
#pragma GCC unroll 2
            for (int g = 0; g < GROUPS; ++g) sums[g][r] += left * right[g];
        }
    }
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
        outcome.take(row, COUNT, group + g, [&](Index r) ALWAYS_INLINE_LAMBDA { return sums[g][r]; });
}

template <int GROUPS, typename Outcome>
NEVER_INLINE void multiply_panel(const Number *a, Index depth, const float *b, Index b_stride, Index row,
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
void multiply_part(const Number *a, const float *packed, Index first, Index last, Index depth,
                   Outcome &outcome) {
    const Index b_stride = depth * SIDE;
    for (Index row = first; row < last; row += PANEL) {
        const Index end = std::min(row + PANEL, last);
        for (Index group = 0; group < outcome.groups; group += 2) {
            const float *b = packed + group * b_stride;
            if (group + 1 < outcome.groups)
                multiply_panel<2>(a, depth, b, b_stride, row, end, group, outcome);
            else
                multiply_panel<1>(a, depth, b, b_stride, row, end, group, outcome);
        }
        outcome.end(end - row);
    }
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
