// What products of bfloat16 matrices are made of: matrices as pairs of neighbouring rows.
//
// A packed matrix of `depth` by `columns` lies in groups of 16 columns. Of a group, each two rows are a
// register of 16 pairs, one after the other; rows are filled up to a multiple of 32 by zeros. This is
// what tiles (AMX) and dot products (AVX512-BF16) multiply by.

#pragma once

#include "outcome.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(BFLOAT16_MAPS)
#define HAS_DOTS
#if defined(__linux__) && defined(__AMX_BF16__)
#define HAS_TILES
#endif

namespace {

static_assert(SIDE == 16);            // rows of a tile, and float32 or pairs of bfloat16 in a row
constexpr Index DEPTH = 2 * SIDE;     // bfloat16 in a row
constexpr Index TILE = SIDE * DEPTH;  // bfloat16 in a tile
constexpr Index BLOCK = 8;            // times 32 rows that are paired together

__mmask16 mask16(Index count) {
    return static_cast<__mmask16>(count >= SIDE ? 0xffffu : (1u << count) - 1);
}

// Pairs of two rows' numbers.
ALWAYS_INLINE __m512i paired(__m512i low, __m512i high) {
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// The pairs of up to 32 rows of up to 16 columns, a register a pair of rows.
ALWAYS_INLINE void pair_rows(const bfloat16 *from, Index stride, Index rows, __mmask16 mask,
                             __m512i *to) {
    alignas(64) static constexpr std::uint16_t ORDER[DEPTH] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i order = _mm512_load_si512(ORDER);
    for (Index pair = 0; pair < SIDE; ++pair) {
        const bfloat16 *row = from + 2 * pair * stride;
        const auto numbers = [=](Index r) ALWAYS_INLINE_LAMBDA {
            return 2 * pair + r < rows ? _mm256_maskz_loadu_epi16(mask, row + r * stride)
                                       : _mm256_setzero_si256();
        };
        const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(numbers(0)), numbers(1), 1);
        to[pair] = _mm512_permutexvar_epi16(order, both);
    }
}

// What `pack_matrix` writes of 16 columns, where the rows of each lie side by side.
ALWAYS_INLINE void pack_turned(const float *columns, Index along, Index own, Index depth,
                               bfloat16 *to) {
    __m512i words[SIDE];
    for (Index k = 0; k < depth; k += DEPTH, to += TILE) {
        const Index rows = std::min(DEPTH, depth - k);
        for (Index j = 0; j < SIDE; ++j) {
            const float *from = columns + j * along + k;
            const auto half = [&](Index first) {
                return (__m512)(j < own && first < rows
                                    ? load(from + first, std::min(SIDE, rows - first))
                                    : vec{});
            };
            words[j] = (__m512i)_mm512_cvtne2ps_pbh(half(SIDE), half(0));
        }
        transpose(words);
        for (Index pair = 0; pair < SIDE; ++pair)
            _mm512_storeu_si512(to + pair * DEPTH, words[pair]);
    }
}

// The numbers that `pack_matrix` writes.
Index packed_size(Index depth, Index columns) {
    return tiles(depth, DEPTH) * tiles(columns, SIDE) * TILE;
}

// A matrix of `depth` by `columns`, at strides of these numbers of which one is 1, rounded.
void pack_matrix(const float *matrix, Index down, Index along, bfloat16 *to, Index depth,
                 Index columns) {
    for (Index c = 0; c < columns; c += SIDE) {
        const Index own = std::min(SIDE, columns - c);
        if (along != 1) {
            pack_turned(matrix + c * along, along, own, depth, to);
            to += tiles(depth, DEPTH) * TILE;
            continue;
        }
        for (Index k = 0; k < depth; k += 2, to += DEPTH) {
            const float *from = matrix + k * down + c;
            const auto word = [](const float *row, Index own) {
                return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load(row, own)));
            };
            const __m512i next = k + 1 < depth ? word(from + down, own) : _mm512_setzero_si512();
            _mm512_storeu_si512(to, paired(word(from, own), next));
        }
        const Index filled = (depth + 1) / 2 * DEPTH, all = tiles(depth, DEPTH) * TILE;
        std::memset(to, 0, (all - filled) * sizeof(bfloat16));
        to += all - filled;
    }
}

}  // namespace

#endif
