// Products of matrices of bfloat16, summed in float32, by the processor's instructions for them. They
// are long and narrow: a row a pixel, so most of the time is spent on what comes in and goes out, and
// what a norm needs of the result is summed while it is at hand.
//
// Without the instructions there is nothing here but the answer that they are missing.

#include "ways.h"

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

// The numbers that `packed_matrix` writes.
Index packed_numbers(Index depth, Index columns) { return packed_size(depth, columns); }

// A matrix of `depth` by `columns`, at strides of these numbers of which one is 1, as
// `multiply_rows` reads it.
void packed_matrix(const float *matrix, Index down, Index along, bfloat16 *to, Index depth,
                   Index columns) {
    pack_matrix(matrix, down, along, to, depth, columns);
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
        outcome.flush();
    });
    if (total) moments.add_to(total);
}

// result += narrow' * wide, both a row a pixel; `result` has a row for each column of `narrow`.
void multiply_columns(const bfloat16 *narrow, const bfloat16 *wide, float *result, Index rows,
                      Index narrow_columns, Index wide_columns, int threads, int way) {
    ColumnProducts products(narrow_columns, wide_columns, threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        products.add(narrow, wide, first, last, part, way);
    });
    products.add_to(result);
}

#endif

}  // extern "C"
