// The ways in which products of matrices are made, and the sums over rows that they share.

#pragma once

#include "dots.h"
#include "fmas.h"
#include "tiles.h"

namespace {

// In which way products are made.
enum Way { FMAS, DOTS, TILES };

#ifdef HAS_TILES
#define CHOSEN(way, call) way == TILES ? by_tiles::call : by_dots::call
#elif defined(HAS_DOTS)
#define CHOSEN(way, call) ((void)way, by_dots::call)
#else
#define CHOSEN(way, call) ((void)way, by_fmas::call)
#endif

#ifdef HAS_DOTS
using Factor = bfloat16;  // of what maps are multiplied by
#else
using Factor = float;
using by_fmas::pack_matrix;
using by_fmas::packed_size;
#endif

// Weights, (columns of the result, depth) or turned, as products take them.
struct Packed {
    Packed(const float *matrix, Index down, Index along, Index depth, Index columns)
        : depth(depth),
          memory(allocate(packed_size(depth, columns) * static_cast<Index>(sizeof(Factor)))) {
        pack_matrix(matrix, down, along, numbers(), depth, columns);
    }
    Factor *numbers() const { return static_cast<Factor *>(memory.get()); }
    // Those from a column on that begins a group.
    const Factor *from(Index column) const { return numbers() + packed_size(depth, column); }
    Index depth;
    Memory memory;
};

// The products of two maps' columns over their rows, a share of the rows a thread.
struct ColumnProducts {
    ColumnProducts(Index narrow, Index wide, int threads)
        : narrow(narrow), wide(wide), across(tiles(narrow, SIDE)), along(tiles(wide, SIDE)),
          threads(threads), memory(allocate(threads * size() * static_cast<Index>(sizeof(float)))) {
        std::memset(of(0), 0, threads * size() * sizeof(float));
    }

    Index size() const { return across * along * SIDE * SIDE; }
    float *of(int part) const { return static_cast<float *>(memory.get()) + part * size(); }

    // Rows [first, last) of both maps.
    void add(const Number *narrow_map, const Number *wide_map, Index first, Index last, int part,
             int way) {
        CHOSEN(way, multiply_columns_part(narrow_map, wide_map, first, last, narrow, wide, of(part)));
    }

    // Rows [0, rows) of the narrow map and of `count` columns, from `column` on, of the wide one.
    void add_some(const Number *narrow_map, const Number *columns, Index rows, Index column,
                  Index count, int part, int way) {
        CHOSEN(way, multiply_columns_part(narrow_map, columns, 0, rows, narrow, count,
                                          of(part) + column * across * SIDE));
    }

    // Adds them to a matrix with a row for each column of the narrow map.
    void add_to(float *result) const {
        for (int part = 0; part < threads; ++part)
            for (Index p = 0; p < narrow; ++p)
                for (Index q = 0; q < along; ++q) {
                    const Index own = std::min(SIDE, wide - q * SIDE);
                    float *to = result + p * wide + q * SIDE;
                    const float *from = tile(part, p / SIDE, q) + p % SIDE * SIDE;
                    store(to, load(to, own) + load(from, SIDE), own);
                }
    }

    // Writes them to a matrix with a row for each column of the wide map.
    void turn_to(float *result) const {
        for (Index p = 0; p < across; ++p)
            for (Index q = 0; q < along; ++q) {
                alignas(64) float sums[SIDE * SIDE] = {}, turned[SIDE * SIDE];
                for (int part = 0; part < threads; ++part)
                    for (Index i = 0; i < SIDE * SIDE; i += SIDE)
                        store(sums + i, load(sums + i, SIDE) + load(tile(part, p, q) + i, SIDE), SIDE);
                const Index own = std::min(SIDE, narrow - p * SIDE);
                turn_block(sums, SIDE, SIDE, SIDE, turned);
                for (Index r = 0; r < std::min(SIDE, wide - q * SIDE); ++r)
                    store(result + (q * SIDE + r) * narrow + p * SIDE, load(turned + r * SIDE, own), own);
            }
    }

    Index narrow, wide, across, along;
    int threads;
    Memory memory;

private:
    const float *tile(int part, Index p, Index q) const {
        return of(part) + (q * across + p) * SIDE * SIDE;
    }
};

}  // namespace
