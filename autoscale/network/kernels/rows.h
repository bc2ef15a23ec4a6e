// Rows of a product by the registers of vectors, whatever these multiply.

#pragma once

#include "outcome.h"

namespace {

constexpr Index PANEL = 48;  // rows for which the same columns of the matrix are read

// COUNT rows of `a` times GROUPS groups of packed columns; what comes out goes to `outcome`. `Kind` says
// what is multiplied at once: STEP neighbours of a row by as many packed rows, and the last of an odd
// number by itself.
template <typename Kind, int COUNT, int GROUPS, typename Outcome>
ALWAYS_INLINE void multiply_block(const Number *a, Index depth, const typename Kind::Factor *b,
                                  Index b_stride, Index row, Index group, Outcome &outcome) {
    constexpr Index STEP = Kind::STEP;
    vec sums[GROUPS][COUNT];
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) sums[g][r] = vec{};
    const auto add = [&](Index k, auto left) ALWAYS_INLINE_LAMBDA {
        typename Kind::Factors right[GROUPS];
#pragma GCC unroll 2
        for (int g = 0; g < GROUPS; ++g) right[g] = Kind::factors(b + g * b_stride + k * SIDE);
#pragma GCC unroll 12
        for (int r = 0; r < COUNT; ++r) {
            const auto own = left(a + r * depth + k);
#pragma GCC unroll 2
            for (int g = 0; g < GROUPS; ++g) sums[g][r] = Kind::add(sums[g][r], own, right[g]);
        }
    };
    for (Index k = 0; k + STEP <= depth; k += STEP)
        add(k, [](const Number *from) ALWAYS_INLINE_LAMBDA { return Kind::numbers(from); });
    if constexpr (STEP > 1)
        if (depth % STEP)
            add(depth - 1, [](const Number *from) ALWAYS_INLINE_LAMBDA { return Kind::alone(from); });
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; ++g)
        outcome.take(row, COUNT, group + g, [&](Index r) ALWAYS_INLINE_LAMBDA { return sums[g][r]; });
}

template <typename Kind, int GROUPS, typename Outcome>
NEVER_INLINE void multiply_panel(const Number *a, Index depth, const typename Kind::Factor *b,
                                 Index b_stride, Index row, Index end, Index group,
                                 Outcome &outcome) {
    constexpr int ROWS = Kind::ROWS, FEW = ROWS / 3;
    for (; row + ROWS <= end; row += ROWS)
        multiply_block<Kind, ROWS, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
    for (; row + FEW <= end; row += FEW)
        multiply_block<Kind, FEW, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
    for (; row < end; ++row)
        multiply_block<Kind, 1, GROUPS>(a + row * depth, depth, b, b_stride, row, group, outcome);
}

// Rows [first, last) of `outcome`: those of `a`, each of `depth` numbers, times a packed matrix.
template <typename Kind, typename Outcome>
void multiply_panels(const Number *a, const typename Kind::Factor *packed, Index first, Index last,
                     Index depth, Outcome &outcome) {
    const Index b_stride = Kind::packed_rows(depth) * SIDE;
    for (Index row = first; row < last; row += PANEL) {
        const Index end = std::min(row + PANEL, last);
        for (Index group = 0; group < outcome.groups; group += 2) {
            const auto *b = packed + group * b_stride;
            if (group + 1 < outcome.groups)
                multiply_panel<Kind, 2>(a, depth, b, b_stride, row, end, group, outcome);
            else
                multiply_panel<Kind, 1>(a, depth, b, b_stride, row, end, group, outcome);
        }
        outcome.end(end - row);
    }
}

}  // namespace
