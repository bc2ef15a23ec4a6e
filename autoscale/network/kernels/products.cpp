// Products of matrices of bfloat16, summed in float32, by the processor's instructions for them. They
// are long and narrow: a row a pixel, so most of the time is spent on what comes in and goes out, and
// what a norm needs of the result is summed while it is at hand.
//
// Without the instructions there is nothing here but the answer that they are missing.

#include "dots.h"
#include "tiles.h"

namespace {

// In which way products are made.
enum Way { NEITHER, DOTS, TILES };

#ifdef HAS_TILES
#define CHOSEN(way, call) way == TILES ? by_tiles::call : by_dots::call
#elif defined(HAS_DOTS)
#define CHOSEN(way, call) by_dots::call
#endif

}  // namespace

extern "C" {

// The quickest way here; unless it is NEITHER, the other functions here may be called.
int quickest_way() {
#ifdef HAS_TILES
    if (by_tiles::allowed()) return TILES;
#endif
#ifdef HAS_DOTS
    return DOTS;
#else
    return NEITHER;
#endif
}

#ifdef HAS_DOTS

// The numbers that `pack_matrix` writes.
Index packed_size(Index depth, Index columns) {
    return tiles(depth, DEPTH) * tiles(columns, SIDE) * TILE;
}

// A matrix of `depth` by `columns`, at strides of these numbers, as `multiply_rows` reads it.
void pack_matrix(const float *matrix, Index down, Index along, bfloat16 *to, Index depth,
                 Index columns) {
    alignas(64) float gathered[DEPTH * SIDE];
    for (Index c = 0; c < columns; c += SIDE)
        for (Index k = 0; k < depth; k += DEPTH, to += TILE) {
            const Index rows = std::min(DEPTH, depth - k), own = std::min(SIDE, columns - c);
            std::memset(gathered, 0, sizeof(gathered));
            const float *from = matrix + k * down + c * along;
            if (along == 1)
                for (Index r = 0; r < rows; ++r)
                    store(gathered + r * SIDE, load(from + r * down, own), SIDE);
            else
                for (Index j = 0; j < own; ++j)
                    for (Index r = 0; r < rows; ++r)
                        gathered[r * SIDE + j] = from[r * down + j * along];
            for (Index pair = 0; pair < SIDE; ++pair) {
                const auto word = [&](Index r) {
                    const __m512 row = _mm512_load_ps(gathered + r * SIDE);
                    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(row));
                };
                _mm512_storeu_si512(to + pair * DEPTH, paired(word(2 * pair), word(2 * pair + 1)));
            }
        }
}

// result = a * matrix + added (may be null), a row a pixel. Unless `total` is null, the rows of the
// result are added to it as by `measure_more`.
void multiply_rows(const bfloat16 *a, const bfloat16 *packed, const bfloat16 *added,
                   bfloat16 *result, double *total, Index rows, Index depth, Index columns,
                   int threads, int way) {
    Moments moments(total ? columns : 0, threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        Outcome outcome(added, result, columns, first, total ? &moments : nullptr, part);
        CHOSEN(way, multiply_part(a, packed, first, last, depth, outcome));
    });
    if (total) moments.add_to(total);
}

// result += narrow' * wide, both a row a pixel; `result` has a row for each column of `narrow`.
void multiply_columns(const bfloat16 *narrow, const bfloat16 *wide, float *result, Index rows,
                      Index narrow_columns, Index wide_columns, int threads, int way) {
    const Index across = tiles(narrow_columns, SIDE), along = tiles(wide_columns, SIDE);
    const Index size = across * along * SIDE * SIDE;
    const Memory memory = allocate(threads * size * static_cast<Index>(sizeof(float)));
    float *totals = static_cast<float *>(memory.get());
    std::memset(totals, 0, threads * size * sizeof(float));
    for_parts(rows, threads, [=](Index first, Index last, int part) {
        CHOSEN(way, multiply_columns_part(narrow, wide, first, last, narrow_columns, wide_columns,
                                          totals + part * size));
    });
    for (int part = 0; part < threads; ++part)
        for (Index p = 0; p < narrow_columns; ++p)
            for (Index q = 0; q < along; ++q) {
                const Index own = std::min(SIDE, wide_columns - q * SIDE);
                float *to = result + p * wide_columns + q * SIDE;
                const float *from = totals + part * size +
                    ((q * across + p / SIDE) * SIDE + p % SIDE) * SIDE;
                store(to, load(to, own) + load(from, SIDE), own);
            }
}

#endif

}  // extern "C"
