// Depthwise convolution: each channel is filtered by itself. A band of an image, as many channels as
// a register holds, is packed, one register a pixel, and filtered from there. Maps that nobody stored
// are made while they are packed (see norm.h), and what comes out is summed for the next norm while
// it is in registers.

#pragma once

#include "norm.h"

namespace {

constexpr Index BAND_BYTES = 32 * 1024;  // of packed input; together with the rest it stays in L1/L2
constexpr Index AHEAD = 16;  // pixels: a register is a small piece of a line of a map
constexpr int MAX_KERNEL = 9;
#ifdef __AVX512F__
constexpr int REGISTERS_FOR_SUMS = 28;  // of 32
#else
constexpr int REGISTERS_FOR_SUMS = 13;  // of 16
#endif

struct Taps {
    int count = 0;
    Index offset[MAX_KERNEL * MAX_KERNEL];  // in the packed map, from the first pixel of a tile
    int weight[MAX_KERNEL * MAX_KERNEL];    // position in the kernel
};

// Rows [top, top + rows) and columns [left, left + columns) of some channels of one image, one
// register a pixel, with zeros outside the image. `value` gives the pixel at an offset into it, and
// where `slopes` is not null puts what its activation's slope is there.
template <typename Value>
ALWAYS_INLINE void pack(Index height, Index width, Index channels, Index top, Index left,
                        Index rows, Index columns, vec *to, Number *slopes, Value value) {
    for (Index y = top; y < top + rows; ++y, to += columns, slopes += slopes ? columns * LANES : 0) {
        if (y < 0 || y >= height) {
            std::memset(to, 0, columns * sizeof(vec));
            continue;
        }
        const Index first = std::max<Index>(0, left), last = std::min(width, left + columns);
        for (Index x = left; x < first; ++x) to[x - left] = vec{};
        for (Index x = first; x < last; ++x) {
            value.fetch((y * width + x + AHEAD) * channels);
            const Index i = (y * width + x) * channels;
            to[x - left] = slopes ? value(i, slopes + (x - left) * LANES) : value(i);
        }
        for (Index x = std::max(first, last); x < left + columns; ++x) to[x - left] = vec{};
    }
}

// The rows of a packed image that two bands share are moved, not made again.
struct Window {
    Index packed_to = 0;  // first row that is not packed yet
    bool empty = true;

    // Calls fill(top, rows, offset) for what is missing of rows [top, top + rows), after it has moved
    // what is there of the map, and of another of LANES numbers a pixel unless it is null.
    template <typename Fill>
    ALWAYS_INLINE void slide(Index top, Index rows, Index before, Index columns, vec *memory,
                             Number *other, Fill fill) {
        const Index kept = empty ? 0 : std::max<Index>(0, packed_to - top);
        const Index to = kept * columns, from = before * columns - to;
        if (kept > 0) {
            std::memmove(memory, memory + from, to * sizeof(vec));
            if (other) std::memmove(other, other + from * LANES, to * LANES * sizeof(Number));
        }
        fill(top + kept, rows - kept, to);
        packed_to = top + rows;
        empty = false;
    }
};

// What is read of a map, a register of its channels: as it is stored, or act(z * scale + shift).
struct Stored {
    static constexpr bool NORMED = false, KEEPS_SLOPES = false;
    const Number *numbers;
    Index lanes;
    ALWAYS_INLINE vec operator()(Index i) const { return load(numbers + i, lanes); }
    ALWAYS_INLINE vec operator()(Index i, Number *) const { return (*this)(i); }
    ALWAYS_INLINE void fetch(Index i) const { __builtin_prefetch(numbers + i); }
};

template <Activation A>
struct Normed {
    static constexpr bool NORMED = true;
    // Where a slope takes longer than to store and load it.
    static constexpr bool KEEPS_SLOPES = A == SILU;
    using floats = Lanes<LANES>::floats;

    const Number *numbers;
    vec mean, scale, shift;
    Index lanes;
    Normed(const Number *numbers, const float *statistics, Index channels, Index lanes)
        : numbers(numbers), mean(load(statistics, lanes)),
          scale(load(statistics + 2 * channels, lanes)),
          shift(load(statistics + 3 * channels, lanes)), lanes(lanes) {}
    ALWAYS_INLINE void fetch(Index i) const { __builtin_prefetch(numbers + i); }
    ALWAYS_INLINE vec slope_at(vec z) const {
        return slope<A>(Lanes<LANES>(), floats(z * scale + shift));
    }
    ALWAYS_INLINE vec operator()(Index i) const {
        return activate<A>(Lanes<LANES>(), floats(load(numbers + i, lanes) * scale + shift));
    }
    ALWAYS_INLINE vec operator()(Index i, Number *slopes) const {
        const floats x = load(numbers + i, lanes) * scale + shift;
        store(slopes, slope<A>(Lanes<LANES>(), x), LANES);
        return activate<A>(Lanes<LANES>(), x);
    }
};

// Calls run(Source) with a function that makes the source at an offset into a map.
template <typename Run>
void with_source(const Number *map, const float *statistics, Index channels, int activation,
                 Run run) {
    if (!statistics) return run([=](Index i, Index, Index lanes) { return Stored{map + i, lanes}; });
    with_activation(activation, [&](auto a) {
        run([=](Index i, Index c, Index lanes) {
            return Normed<a()>(map + i, statistics + c, channels, lanes);
        });
    });
}

// `TILE` neighbouring outputs, STEP pixels apart: the weighted sum of the taps, in registers, given to
// finish(x, sum).
template <int TILE, int STEP, typename Finish>
ALWAYS_INLINE void filter_tile(const vec *from, const Taps &taps, const vec *weights, Index x,
                               Finish finish) {
    vec sum[TILE] = {};
    for (int t = 0; t < taps.count; ++t) {
        const vec weight = weights[taps.weight[t]];
        const vec *at = from + x * STEP + taps.offset[t];
        for (int i = 0; i < TILE; ++i) sum[i] += weight * at[i * STEP];
    }
    for (int i = 0; i < TILE; ++i) finish(x + i, sum[i]);
}

template <int STEP, typename Finish>
ALWAYS_INLINE void filter_steps(const vec *from, const Taps &taps, const vec *weights, Index count,
                                Finish finish) {
    Index x = 0;
    for (; x + 8 <= count; x += 8) filter_tile<8, STEP>(from, taps, weights, x, finish);
    if (x + 4 <= count) filter_tile<4, STEP>(from, taps, weights, x, finish), x += 4;
    if (x + 2 <= count) filter_tile<2, STEP>(from, taps, weights, x, finish), x += 2;
    if (x < count) filter_tile<1, STEP>(from, taps, weights, x, finish);
}

// A row of `count` outputs, `step` pixels apart; distances that are known let the compiler count.
template <typename Finish>
ALWAYS_INLINE void filter_row(const vec *from, Index step, const Taps &taps, const vec *weights,
                              Index count, Finish finish) {
    if (step == 1) return filter_steps<1>(from, taps, weights, count, finish);
    if (step == 2) return filter_steps<2>(from, taps, weights, count, finish);
    for (Index x = 0; x < count; ++x)
        filter_tile<1, 1>(from + x * step - x, taps, weights, x, finish);
}

// Adds the first `lanes` numbers of a register to as many sums.
inline void add_to(double *sums, vec v, Index lanes) {
    for (Index c = 0; c < lanes; ++c) sums[c] += v[c];
}

// (C, 1, k, k) weights of `lanes` channels, one register a tap.
void pack_weights(const float *weights, Index taps, Index lanes, vec *to) {
    for (Index t = 0; t < taps; ++t) {
        vec v = {};
        for (Index c = 0; c < lanes; ++c) v[c] = weights[c * taps + t];
        to[t] = v;
    }
}

// sums[ky][kx] += input[y * stride + ky][x * stride + kx] * gradient[y][x] over a band, for the
// rows [first, first + ROWS) of the kernel, all their sums in registers.
template <int K, int ROWS>
void correlate_rows(int first, const vec *input, Index input_columns, Index stride,
                    const vec *gradient, Index gradient_columns, Index rows, Index columns,
                    vec *sums) {
    vec sum[ROWS][K] = {};
    for (Index y = 0; y < rows; ++y) {
        const vec *in = input + (y * stride + first) * input_columns;
        const vec *g = gradient + y * gradient_columns;
        for (Index x = 0; x < columns; ++x, in += stride)
            for (int r = 0; r < ROWS; ++r)
                for (int k = 0; k < K; ++k) sum[r][k] += in[r * input_columns + k] * g[x];
    }
    for (int r = 0; r < ROWS; ++r)
        for (int k = 0; k < K; ++k) sums[(first + r) * K + k] += sum[r][k];
}

// The same for all rows of the kernel, as many at a time as there are registers for.
template <int K>
void correlate(const vec *input, Index input_columns, Index stride, const vec *gradient,
               Index gradient_columns, Index rows, Index columns, vec *sums) {
    constexpr int TOGETHER = std::clamp(REGISTERS_FOR_SUMS / K, 1, K), LEFT = K % TOGETHER;
    int first = 0;
    for (; first + TOGETHER <= K; first += TOGETHER)
        correlate_rows<K, TOGETHER>(first, input, input_columns, stride, gradient,
                                    gradient_columns, rows, columns, sums);
    if constexpr (LEFT > 0)
        correlate_rows<K, LEFT>(first, input, input_columns, stride, gradient, gradient_columns,
                                rows, columns, sums);
}

void correlate(int kernel, const vec *input, Index input_columns, Index stride,
               const vec *gradient, Index gradient_columns, Index rows, Index columns, vec *sums) {
    auto run = [&](auto correlate_k) {
        correlate_k(input, input_columns, stride, gradient, gradient_columns, rows, columns, sums);
    };
    switch (kernel) {
        case 1: return run(correlate<1>);
        case 3: return run(correlate<3>);
        case 5: return run(correlate<5>);
        case 7: return run(correlate<7>);
        case 9: return run(correlate<9>);
    }
}

struct Depthwise {
    Index images, height, width, channels;  // of the input
    int kernel, stride;
    int top = 0, left = 0;  // zeros above and to the left of a map
    Index apart = channels;  // numbers from a pixel of the input to the next
    Index margin() const {  // outputs beyond the map that a pixel at its border would be seen by
        const int most = std::max({top, left, kernel - 1 - top, kernel - 1 - left});
        return (most + stride - 1) / stride;
    }
    Index out(Index side) const { return (side + stride - 1) / stride; }
    Index out_height() const { return out(height); }
    Index out_width() const { return out(width); }
    int taps() const { return kernel * kernel; }
};

// With zeros before a map: half a kernel; TensorFlow's padding puts the smaller half of what a side
// needs there.
Depthwise padded(Depthwise d, int same) {
    const auto before = [&](Index side) {
        const Index needed = std::max<Index>((d.out(side) - 1) * d.stride + d.kernel - side, 0);
        return same ? static_cast<int>(needed / 2) : d.kernel / 2;
    };
    d.top = before(d.height);
    d.left = before(d.width);
    return d;
}

Index rows_of_band(Index columns, Index rows) {
    return std::clamp<Index>(BAND_BYTES / (columns * static_cast<Index>(sizeof(vec))), 1, rows);
}

// The outputs, and in `moments` their sums, unless it is null; if `fresh`, the first of them becomes
// the reference there.
template <typename Source>
void forward_block(const Depthwise &d, const Source &source, const vec *weights, Number *out,
                   Index lanes, Moments *moments, int part, Index channel, bool fresh) {
    const Index columns = (d.out_width() - 1) * d.stride + d.kernel;
    const Index band = rows_of_band(columns * d.stride, d.out_height());
    const Index in_rows = (band - 1) * d.stride + d.kernel;
    vec *packed = scratch(0, in_rows * columns);
    Taps taps;
    for (int ky = 0; ky < d.kernel; ++ky)
        for (int kx = 0; kx < d.kernel; ++kx, ++taps.count) {
            taps.offset[taps.count] = ky * columns + kx;
            taps.weight[taps.count] = ky * d.kernel + kx;
        }
    Window window;
    vec reference = moments ? load(moments->reference(part) + channel, lanes) : vec{};
    for (Index top = 0; top < d.out_height(); top += band) {
        const Index rows = std::min(band, d.out_height() - top);
        window.slide(top * d.stride - d.top, (rows - 1) * d.stride + d.kernel, in_rows, columns,
                     packed, nullptr, [&](Index first, Index count, Index to) {
                         pack(d.height, d.width, d.apart, first, -d.left, count, columns,
                              packed + to, nullptr, source);
                     });
        for (Index y = 0; y < rows; ++y) {
            const vec *from = packed + y * d.stride * columns;
            Number *to = out + (top + y) * d.out_width() * d.channels;
            if (!moments) {
                filter_row(from, d.stride, taps, weights, d.out_width(),
                           [=](Index x, vec sum) ALWAYS_INLINE_LAMBDA {
                               store(to + x * d.channels, sum, lanes);
                           });
                continue;
            }
            if (fresh) {
                filter_tile<1, 1>(from, taps, weights, 0,
                               [&](Index, vec sum) ALWAYS_INLINE_LAMBDA { reference = sum; });
                store(moments->reference(part) + channel, reference, lanes);
                fresh = false;
            }
            vec one = {}, two = {};
            filter_row(from, d.stride, taps, weights, d.out_width(),
                       [&](Index x, vec sum) ALWAYS_INLINE_LAMBDA {
                           store(to + x * d.channels, sum, lanes);
                           const vec difference = sum - reference;
                           one += difference;
                           two += difference * difference;
                       });
            add_to(moments->differences(part) + channel, one, lanes);
            add_to(moments->squares(part) + channel, two, lanes);
        }
    }
}

// The input of a band, packed, and the slopes of what made it unless they are null.
struct Input {
    vec *numbers;
    Number *slopes;
    Index columns;
};

// Input pixel s * q + r takes from output pixel q + (r + p - k) / s through each tap k for which
// that is whole: for each remainder r a convolution of the outputs with some of the taps. Where the
// source is a norm's, this is multiplied by its slope and summed.
template <typename Source>
void input_gradient(const Depthwise &d, const Source &source, const Input &input,
                    const vec *gradient, Index columns, Index margin, const vec *weights,
                    Index lanes, Index top, Index rows, Number *to, double *sums) {
    const int s = d.stride;
    for (int ry = 0; ry < s; ++ry)
        for (int rx = 0; rx < s; ++rx) {
            Taps taps;
            for (int ky = (ry + d.top) % s; ky < d.kernel; ky += s)
                for (int kx = (rx + d.left) % s; kx < d.kernel; kx += s, ++taps.count) {
                    const Index dy = (ry + d.top - ky) / s, dx = (rx + d.left - kx) / s;
                    taps.offset[taps.count] = (margin + dy) * columns + margin + dx;
                    taps.weight[taps.count] = ky * d.kernel + kx;
                }
            const Index count = (d.width - rx + s - 1) / s;
            for (Index q = 0; q < rows; ++q) {
                const Index y = (top + q) * s + ry;
                if (y >= d.height) break;
                const Index start = (y * d.width + rx) * d.apart, step = s * d.apart;
                const Number *slopes = nullptr;
                if constexpr (Source::KEEPS_SLOPES)
                    slopes = input.slopes +
                        ((q * s + ry + d.top) * input.columns + rx + d.left) * LANES;
                vec one = {}, two = {};
                filter_steps<1>(gradient + q * columns, taps, weights, count,
                           [&](Index x, vec sum) ALWAYS_INLINE_LAMBDA {
                               const Index i = start + x * step;
                               if constexpr (Source::NORMED) {
                                   const vec z = load(source.numbers + i, lanes);
                                   if constexpr (Source::KEEPS_SLOPES)
                                       sum *= load(slopes + x * s * LANES, LANES);
                                   else
                                       sum *= source.slope_at(z);
                                   one += sum;
                                   two += sum * (z - source.mean);
                               }
                               store(to + i, sum, lanes);
                           });
                if constexpr (Source::NORMED) {
                    add_to(sums, one, lanes);
                    add_to(sums + d.channels, two, lanes);
                }
            }
        }
}

// The gradient of the outputs: as it is stored, or a * gradient + b * z + c.
struct Gradient {
    const Number *numbers, *z;
    const float *coefficients;

    void pack(const Depthwise &d, Index i, Index c, Index lanes, Index top, Index left, Index rows,
              Index columns, vec *to) const {
        const Number *stored = numbers + i;
        if (!coefficients)
            return ::pack(d.out_height(), d.out_width(), d.channels, top, left, rows, columns, to,
                          nullptr, Stored{stored, lanes});
        const Number *map = z + i;
        const vec a = load(coefficients + c, lanes), b = load(coefficients + d.channels + c, lanes),
                  constant = load(coefficients + 2 * d.channels + c, lanes);
        ::pack(d.out_height(), d.out_width(), d.channels, top, left, rows, columns, to, nullptr,
               Combined{stored, map, a, b, constant, lanes});
    }

private:
    struct Combined {
        const Number *pre, *z;
        vec a, b, c;
        Index lanes;
        ALWAYS_INLINE vec operator()(Index i) const {
            return a * load(pre + i, lanes) + (b * load(z + i, lanes) + c);
        }
        ALWAYS_INLINE vec operator()(Index i, Number *) const { return (*this)(i); }
        ALWAYS_INLINE void fetch(Index i) const {
            __builtin_prefetch(pre + i);
            __builtin_prefetch(z + i);
        }
    };
};

struct Place {
    Index input, output, channel, lanes;  // offsets of an image's block of channels
};

template <typename Source>
void backward_block(const Depthwise &d, const Source &source, const vec *weights,
                    const Gradient &gradient, const Place &place, Number *image_gradient, vec *sums,
                    double *norm_sums) {
    const auto needed = [&](Index out, Index before) {
        const Index read = (out - 1) * d.stride + d.kernel;
        // A slope is wanted of every pixel, also where no output reads the last ones.
        return Source::KEEPS_SLOPES ? std::max(read, out * d.stride + before) : read;
    };
    const Index columns = needed(d.out_width(), d.left);
    const Index margin = d.margin();
    const Index gradient_columns = d.out_width() + 2 * margin;
    const Index band = rows_of_band(columns * d.stride, d.out_height());
    const Index in_rows = needed(band, d.top), out_rows = band + 2 * margin;
    Input input{scratch(0, in_rows * columns), nullptr, columns};
    vec *packed_gradient = scratch(1, out_rows * gradient_columns);
    if (Source::KEEPS_SLOPES && image_gradient)
        input.slopes = reinterpret_cast<Number *>(scratch(4, in_rows * columns));
    Window inputs, outputs;
    for (Index top = 0; top < d.out_height(); top += band) {
        const Index rows = std::min(band, d.out_height() - top);
        inputs.slide(top * d.stride - d.top, needed(rows, d.top), in_rows, columns, input.numbers,
                     input.slopes, [&](Index first, Index count, Index to) {
                         pack(d.height, d.width, d.apart, first, -d.left, count, columns,
                              input.numbers + to,
                              input.slopes ? input.slopes + to * LANES : nullptr, source);
                     });
        outputs.slide(top - margin, rows + 2 * margin, out_rows, gradient_columns, packed_gradient,
                      nullptr, [&](Index first, Index count, Index to) {
                          gradient.pack(d, place.output, place.channel, place.lanes, first, -margin,
                                        count, gradient_columns, packed_gradient + to);
                      });
        correlate(d.kernel, input.numbers, columns, d.stride,
                  packed_gradient + margin * gradient_columns + margin, gradient_columns, rows,
                  d.out_width(), sums);
        if (image_gradient)
            input_gradient(d, source, input, packed_gradient, gradient_columns, margin, weights,
                           place.lanes, top, rows, image_gradient, norm_sums);
    }
}

void pack_all_weights(const Depthwise &d, const float *weights, vec *to) {
    for (Index c = 0; c < d.channels; c += LANES, to += d.taps())
        pack_weights(weights + c * d.taps(), d.taps(), std::min(LANES, d.channels - c), to);
}

// Sums packed as the weights are, of `parts` threads, to (C, 1, k, k).
void unpack_sums(const Depthwise &d, const vec *sums, int parts, float *to) {
    const Index taps = d.taps(), size = (d.channels + LANES - 1) / LANES * taps;
    for (Index c = 0; c < d.channels; ++c)
        for (Index t = 0; t < taps; ++t) {
            float sum = 0.0f;
            for (int part = 0; part < parts; ++part)
                sum += sums[part * size + c / LANES * taps + t][c % LANES];
            to[c * taps + t] = sum;
        }
}

}  // namespace
