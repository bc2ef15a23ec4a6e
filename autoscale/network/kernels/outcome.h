// What becomes of a product's rows.

#pragma once

#include "norm.h"

namespace {

constexpr Index SIDE = LANES;  // columns of a product that are computed together

Index tiles(Index count, Index side) { return (count + side - 1) / side; }

#ifdef __AVX512F__
// 16 x 16 words.
ALWAYS_INLINE void transpose(__m512i *r) {
    __m512i t[SIDE];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        const __m512i a = r[i], b = r[4 + i], c = r[8 + i], d = r[12 + i];
        const __m512i ab = _mm512_shuffle_i32x4(a, b, 0x88), cd = _mm512_shuffle_i32x4(c, d, 0x88);
        const __m512i abo = _mm512_shuffle_i32x4(a, b, 0xdd), cdo = _mm512_shuffle_i32x4(c, d, 0xdd);
        t[i] = _mm512_shuffle_i32x4(ab, cd, 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(ab, cd, 0xdd);
        t[4 + i] = _mm512_shuffle_i32x4(abo, cdo, 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(abo, cdo, 0xdd);
    }
    std::copy(t, t + SIDE, r);
}
#endif

// Up to SIDE rows of as many columns, at least one of either, turned; zeros where rows are missing.
ALWAYS_INLINE void turn_block(const float *from, Index stride, Index rows, Index columns, float *to) {
#ifdef __AVX512F__
    vec block[SIDE];
    for (Index r = 0; r < SIDE; ++r)
        block[r] = r < rows ? load(from + r * stride, columns) : vec{};
    transpose(reinterpret_cast<__m512i *>(block));
    for (Index c = 0; c < columns; ++c) store(to + c * SIDE, block[c], SIDE);
#else
    for (Index c = 0; c < columns; ++c)
        for (Index r = 0; r < SIDE; ++r)
            to[c * SIDE + r] = r < rows ? from[r * stride + c] : 0.0f;
#endif
}

// Where rows of a product go: to a map, with what is added to them, and to the sums that a norm needs.
struct Outcome {
    Outcome(const Number *added, Number *result, Index columns, Index first, Moments *moments,
            int part)
        : added(added), result(result), columns(columns), groups(tiles(columns, SIDE)),
          first(first), moments(moments), part(part), ones(scratch(1, 2 * groups)),
          twos(ones + groups) {
        for (Index group = 0; group < 2 * groups; ++group) ones[group] = vec{};
    }

    // Rows [row, row + count) of a group of columns; `sum(r)` is what was multiplied.
    template <typename Sum>
    ALWAYS_INLINE void take(Index row, Index count, Index group, Sum sum) {
        const Index c = group * SIDE, i = row * columns + c, lanes = std::min(SIDE, columns - c);
        vec reference = {}, one = {}, two = {};
        if (moments) {
            if (row == first) store(moments->reference(part) + c, sum(0), lanes);
            reference = load(moments->reference(part) + c, lanes);
        }
#pragma GCC unroll 12
        for (Index r = 0; r < count; ++r) {
            vec v = sum(r);
            if (added) v += load(added + i + r * columns, lanes);
            store(result + i + r * columns, v, lanes);
            const vec difference = v - reference;
            one += difference;
            two += difference * difference;
        }
        if (moments) ones[group] += one, twos[group] += two;
    }

    // After so many rows of all groups.
    void end(Index count) {
        if (!moments) return;
        moments->rows[part] += count;
        if ((summed += count) >= CHUNK) flush();
    }

    void flush() {
        if (!moments) return;
        for (Index group = 0; group < groups; ++group) {
            const Index c = group * SIDE;
            for (Index lane = 0; lane < std::min(SIDE, columns - c); ++lane) {
                moments->differences(part)[c + lane] += ones[group][lane];
                moments->squares(part)[c + lane] += twos[group][lane];
            }
            ones[group] = twos[group] = vec{};
        }
        summed = 0;
    }

    const Number *added;
    Number *result;
    Index columns, groups;
    Index first;       // row of this part
    Moments *moments;  // null where no norm follows
    int part;
    vec *ones, *twos;  // sums of each column's last rows
    Index summed = 0;  // how many these are
};

}  // namespace
