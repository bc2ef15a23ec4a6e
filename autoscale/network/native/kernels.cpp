// Forward and backward passes of the layers where small networks spend their time on a CPU.
//
// Tensors are float32 in channels-last order: a map of (N, C, H, W) lies as N * H * W rows of C
// numbers. Every function is deterministic for a given number of threads: work is cut by images or
// by channels, and partial sums are added in that order. Nothing is allocated but scratch memory
// of a few hundred kilobytes a thread, which is kept for the next call.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using Index = std::int64_t;

// What stands in inner loops must dissolve in them.
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define ALWAYS_INLINE_LAMBDA __attribute__((always_inline))

constexpr Index LANES = 16;  // channels that are filtered together: one AVX-512 register

// COUNT neighbouring channels, wherever they lie. The compiler makes of them what the machine has.
template <Index COUNT>
struct Lanes {
    typedef float floats __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
    typedef std::int32_t ints __attribute__((vector_size(4 * COUNT), aligned(4), may_alias));
};
typedef float vec __attribute__((vector_size(4 * LANES), aligned(64), may_alias));

constexpr Index BAND_BYTES = 32 * 1024;  // of packed input; together with the rest it stays in L1/L2
constexpr int MAX_KERNEL = 9;

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;

Memory allocate(Index bytes) { return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64)); }

// Scratch memory of one thread, grown when needed.
vec *scratch(int which, Index count) {
    static thread_local Memory memory[3];
    static thread_local Index size[3];
    if (size[which] < count) {
        memory[which].reset();  // before the new one, so that both never exist together
        memory[which] = allocate(count * static_cast<Index>(sizeof(vec)));
        size[which] = count;
    }
    return static_cast<vec *>(memory[which].get());
}

inline vec load(const float *from, Index lanes) {
    if (lanes == LANES) return *reinterpret_cast<const Lanes<LANES>::floats *>(from);
    vec v = {};
    std::memcpy(&v, from, lanes * sizeof(float));
    return v;
}

inline void store(float *to, vec v, Index lanes) {
    if (lanes == LANES)
        *reinterpret_cast<Lanes<LANES>::floats *>(to) = v;
    else
        std::memcpy(to, &v, lanes * sizeof(float));
}

// ---------------------------------------------------------------- depthwise convolution

struct Taps {
    int count = 0;
    Index offset[MAX_KERNEL * MAX_KERNEL];  // in the packed map, from the first pixel of a tile
    int weight[MAX_KERNEL * MAX_KERNEL];    // position in the kernel
};

// Rows [top, top + rows) and columns [left, left + columns) of 16 channels of one image, one
// register a pixel, with zeros outside the image and in lanes beyond the last channel.
void pack(const float *image, Index height, Index width, Index channels, Index lanes, Index top,
          Index left, Index rows, Index columns, vec *to) {
    for (Index y = top; y < top + rows; ++y, to += columns) {
        if (y < 0 || y >= height) {
            std::memset(to, 0, columns * sizeof(vec));
            continue;
        }
        const Index first = std::max<Index>(0, left), last = std::min(width, left + columns);
        for (Index x = left; x < first; ++x) to[x - left] = vec{};
        const float *from = image + (y * width + first) * channels;
        for (Index x = first; x < last; ++x, from += channels) to[x - left] = load(from, lanes);
        for (Index x = std::max(first, last); x < left + columns; ++x) to[x - left] = vec{};
    }
}

// `TILE` neighbouring outputs: the weighted sum of the taps, in registers.
template <int TILE>
inline void filter_tile(const vec *from, Index step, const Taps &taps, const vec *weights,
                        float *to, Index to_step, Index lanes) {
    vec sum[TILE] = {};
    for (int t = 0; t < taps.count; ++t) {
        const vec weight = weights[taps.weight[t]];
        const vec *at = from + taps.offset[t];
        for (int i = 0; i < TILE; ++i) sum[i] += weight * at[i * step];
    }
    for (int i = 0; i < TILE; ++i) store(to + i * to_step, sum[i], lanes);
}

void filter_row(const vec *from, Index step, const Taps &taps, const vec *weights, float *to,
                Index to_step, Index lanes, Index count) {
    Index x = 0;
    for (; x + 8 <= count; x += 8)
        filter_tile<8>(from + x * step, step, taps, weights, to + x * to_step, to_step, lanes);
    if (x + 4 <= count) {
        filter_tile<4>(from + x * step, step, taps, weights, to + x * to_step, to_step, lanes);
        x += 4;
    }
    if (x + 2 <= count) {
        filter_tile<2>(from + x * step, step, taps, weights, to + x * to_step, to_step, lanes);
        x += 2;
    }
    if (x < count)
        filter_tile<1>(from + x * step, step, taps, weights, to + x * to_step, to_step, lanes);
}

// (C, 1, k, k) weights of `lanes` channels, one register a tap.
void pack_weights(const float *weights, Index taps, Index lanes, vec *to) {
    for (Index t = 0; t < taps; ++t) {
        vec v = {};
        for (Index c = 0; c < lanes; ++c) v[c] = weights[c * taps + t];
        to[t] = v;
    }
}

// sums[ky][kx] += input[y * stride + ky][x * stride + kx] * gradient[y][x] over a band; rows
// [ky, ky + ROWS) of the kernel at a time, all their sums in registers.
template <int K, int ROWS>
void correlate(const vec *input, Index input_columns, Index stride, const vec *gradient,
               Index gradient_columns, Index rows, Index columns, vec *sums) {
    for (int first = 0; first < K; first += ROWS) {
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
}

void correlate(int kernel, const vec *input, Index input_columns, Index stride,
               const vec *gradient, Index gradient_columns, Index rows, Index columns, vec *sums) {
    auto run = [&](auto correlate_k) {
        correlate_k(input, input_columns, stride, gradient, gradient_columns, rows, columns, sums);
    };
    switch (kernel) {
        case 1: return run(correlate<1, 1>);
        case 3: return run(correlate<3, 3>);
#ifdef __AVX512F__
        case 5: return run(correlate<5, 5>);  // 25 sums in 32 registers
#else
        case 5: return run(correlate<5, 1>);
#endif
        case 7: return run(correlate<7, 1>);
        case 9: return run(correlate<9, 1>);
    }
}

struct Depthwise {
    Index images, height, width, channels;  // of the input
    int kernel, stride;
    Index padding() const { return kernel / 2; }
    Index out(Index side) const { return (side + stride - 1) / stride; }
    Index out_height() const { return out(height); }
    Index out_width() const { return out(width); }
    int taps() const { return kernel * kernel; }
};

Index rows_of_band(Index columns, Index rows) {
    return std::clamp<Index>(BAND_BYTES / (columns * static_cast<Index>(sizeof(vec))), 1, rows);
}

void forward_block(const Depthwise &d, const float *image, const vec *weights, float *out,
                   Index lanes) {
    const Index columns = (d.out_width() - 1) * d.stride + d.kernel;
    const Index band = rows_of_band(columns * d.stride, d.out_height());
    vec *packed = scratch(0, ((band - 1) * d.stride + d.kernel) * columns);
    Taps taps;
    for (int ky = 0; ky < d.kernel; ++ky)
        for (int kx = 0; kx < d.kernel; ++kx, ++taps.count) {
            taps.offset[taps.count] = ky * columns + kx;
            taps.weight[taps.count] = ky * d.kernel + kx;
        }
    for (Index top = 0; top < d.out_height(); top += band) {
        const Index rows = std::min(band, d.out_height() - top);
        pack(image, d.height, d.width, d.channels, lanes, top * d.stride - d.padding(),
             -d.padding(), (rows - 1) * d.stride + d.kernel, columns, packed);
        for (Index y = 0; y < rows; ++y)
            filter_row(packed + y * d.stride * columns, d.stride, taps, weights,
                       out + (top + y) * d.out_width() * d.channels, d.channels, lanes,
                       d.out_width());
    }
}

// Input pixel s * q + r takes from output pixel q + (r + p - k) / s through each tap k for which
// that is whole: for each remainder r a convolution of the outputs with some of the taps.
void input_gradient(const Depthwise &d, const vec *gradient, Index columns, Index margin,
                    const vec *weights, Index lanes, Index top, Index rows, float *to) {
    const int s = d.stride;
    for (int ry = 0; ry < s; ++ry)
        for (int rx = 0; rx < s; ++rx) {
            Taps taps;
            for (int ky = (ry + d.padding()) % s; ky < d.kernel; ky += s)
                for (int kx = (rx + d.padding()) % s; kx < d.kernel; kx += s, ++taps.count) {
                    const Index dy = (ry + d.padding() - ky) / s, dx = (rx + d.padding() - kx) / s;
                    taps.offset[taps.count] = (margin + dy) * columns + margin + dx;
                    taps.weight[taps.count] = ky * d.kernel + kx;
                }
            const Index count = (d.width - rx + s - 1) / s;
            for (Index q = 0; q < rows; ++q) {
                const Index y = (top + q) * s + ry;
                if (y >= d.height) break;
                filter_row(gradient + q * columns, 1, taps, weights,
                           to + (y * d.width + rx) * d.channels, s * d.channels, lanes, count);
            }
        }
}

void backward_block(const Depthwise &d, const float *image, const vec *weights,
                    const float *gradient, float *image_gradient, vec *sums, Index lanes) {
    const Index columns = (d.out_width() - 1) * d.stride + d.kernel;
    const Index margin = (d.padding() + d.stride - 1) / d.stride;
    const Index gradient_columns = d.out_width() + 2 * margin;
    const Index band = rows_of_band(columns * d.stride, d.out_height());
    vec *packed = scratch(0, ((band - 1) * d.stride + d.kernel) * columns);
    vec *packed_gradient = scratch(1, (band + 2 * margin) * gradient_columns);
    for (Index top = 0; top < d.out_height(); top += band) {
        const Index rows = std::min(band, d.out_height() - top);
        pack(image, d.height, d.width, d.channels, lanes, top * d.stride - d.padding(),
             -d.padding(), (rows - 1) * d.stride + d.kernel, columns, packed);
        pack(gradient, d.out_height(), d.out_width(), d.channels, lanes, top - margin, -margin,
             rows + 2 * margin, gradient_columns, packed_gradient);
        correlate(d.kernel, packed, columns, d.stride,
                  packed_gradient + margin * gradient_columns + margin, gradient_columns, rows,
                  d.out_width(), sums);
        if (image_gradient)
            input_gradient(d, packed_gradient, gradient_columns, margin, weights, lanes, top, rows,
                           image_gradient);
    }
}

// ---------------------------------------------------------------- activations

enum Activation { NONE, RELU, RELU6, SILU, HSWISH };

// Runs run(lanes, c) for groups of channels: sixteens, then perhaps an eight, then single ones.
template <typename Run>
ALWAYS_INLINE void for_channels(Index channels, Run run) {
    Index c = 0;
    for (; c + 16 <= channels; c += 16) run(Lanes<16>(), c);
    if (c + 8 <= channels) run(Lanes<8>(), c), c += 8;
    for (; c < channels; ++c) run(Lanes<1>(), c);
}

template <typename L>
ALWAYS_INLINE typename L::floats &at(L, float *numbers) {
    return *reinterpret_cast<typename L::floats *>(numbers);
}

template <typename L>
ALWAYS_INLINE typename L::floats at(L, const float *numbers) {
    return *reinterpret_cast<const typename L::floats *>(numbers);
}

// Error below 2 units in the last place on [-87, 87], and held there outside. Cephes' polynomial
// on [-ln 2 / 2, ln 2 / 2]. Not a number stays so.
template <typename L, typename V = typename L::floats>
ALWAYS_INLINE V exponential(L, V x) {
    x = x < -87.0f ? V{} - 87.0f : x;
    x = x > 87.0f ? V{} + 87.0f : x;
    // Conversion cuts off: 128 more make that a floor.
    const auto n = __builtin_convertvector(x * 1.44269504088896341f + 128.5f, typename L::ints) - 128;
    const V whole = __builtin_convertvector(n, V);
    const V r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * reinterpret_cast<V>((n + 127) << 23);
}

template <typename L, typename V = typename L::floats>
ALWAYS_INLINE V sigmoid(L lanes, V x) {
    return 1.0f / (1.0f + exponential(lanes, V(-x)));
}

template <typename V>
ALWAYS_INLINE V clamp(V x, float low, float high) {
    x = x < low ? V{} + low : x;
    return x > high ? V{} + high : x;
}

template <Activation A, typename L, typename V = typename L::floats>
ALWAYS_INLINE V activate(L lanes, V x) {
    if constexpr (A == RELU) return x < 0.0f ? V{} : x;
    if constexpr (A == RELU6) return clamp<V>(x, 0.0f, 6.0f);
    if constexpr (A == SILU) return x * sigmoid(lanes, x);
    if constexpr (A == HSWISH) return x * clamp<V>(x + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f);
    return x;
}

// The derivative of an activation.
template <Activation A, typename L, typename V = typename L::floats>
ALWAYS_INLINE V slope(L lanes, V x) {
    const V one = V{} + 1.0f;
    if constexpr (A == RELU) return x > 0.0f ? one : V{};
    if constexpr (A == RELU6) return (x > 0.0f) & (x < 6.0f) ? one : V{};
    if constexpr (A == SILU) {
        const V s = sigmoid(lanes, x);
        return s * (1.0f + x * (1.0f - s));
    }
    if constexpr (A == HSWISH) {
        const V middle = x * (1.0f / 3.0f) + 0.5f;
        return x <= -3.0f ? V{} : V(x < 3.0f ? middle : one);
    }
    return one;
}

template <typename Run>
void with_activation(int activation, Run run) {
    switch (activation) {
        case NONE: return run(std::integral_constant<Activation, NONE>());
        case RELU: return run(std::integral_constant<Activation, RELU>());
        case RELU6: return run(std::integral_constant<Activation, RELU6>());
        case SILU: return run(std::integral_constant<Activation, SILU>());
        case HSWISH: return run(std::integral_constant<Activation, HSWISH>());
    }
}

// ---------------------------------------------------------------- batch norm

constexpr Index CHUNK = 128;  // rows summed in float32 before their sum joins the total in float64

// Calls run(first, last, part) for `parts` shares of the rows, on as many threads.
template <typename Run>
void for_parts(Index rows, int parts, Run run) {
#pragma omp parallel for num_threads(parts) if (parts > 1) schedule(static, 1)
    for (int part = 0; part < parts; ++part) run(rows * part / parts, rows * (part + 1) / parts, part);
}

std::unique_ptr<double[]> zeros(Index count) { return std::make_unique<double[]>(count); }

// one[c] and two[c]: sums over rows of what `terms` adds for the numbers at (row, channels).
template <typename Terms>
void sum_rows(Index rows, Index channels, int threads, double *one, double *two, Terms terms) {
    auto partial = zeros(2 * channels * threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        double *total = partial.get() + 2 * channels * part;
        auto sums = std::make_unique<float[]>(2 * channels);
        float *a = sums.get(), *b = a + channels;
        for (Index start = first; start < last; start += CHUNK) {
            const Index end = std::min(start + CHUNK, last);
            std::fill(a, a + 2 * channels, 0.0f);
            for (Index row = start; row < end; row += 4) {  // sums stay in registers for four rows
                const Index together = std::min<Index>(4, end - row);
                for_channels(channels, [&](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    // Copies: a reference deduced by `terms` would forget how loosely they lie.
                    auto one_c = at(lanes, a + c), two_c = at(lanes, b + c);
                    if (together == 4)
                        for (int r = 0; r < 4; ++r) terms(lanes, row + r, c, one_c, two_c);
                    else
                        for (int r = 0; r < together; ++r) terms(lanes, row + r, c, one_c, two_c);
                    at(lanes, a + c) = one_c;
                    at(lanes, b + c) = two_c;
                });
            }
            for (Index c = 0; c < 2 * channels; ++c) total[c] += a[c];
        }
    });
    for (Index c = 0; c < channels; ++c) one[c] = two[c] = 0.0;
    for (int part = 0; part < threads; ++part)
        for (Index c = 0; c < channels; ++c) {
            one[c] += partial[2 * channels * part + c];
            two[c] += partial[2 * channels * part + channels + c];
        }
}

// Runs run(lanes, row, c) for every row and all its channels.
template <typename Run>
void for_rows(Index rows, Index channels, int threads, Run run) {
    for_parts(rows, threads, [&](Index first, Index last, int) {
        for (Index row = first; row < last; ++row)
            for_channels(channels, [&](auto lanes, Index c) ALWAYS_INLINE_LAMBDA { run(lanes, row, c); });
    });
}

// output = activate(input * scale + shift) + added, channel by channel; `added` may be null.
template <Activation A>
void scale_shift(const float *input, const float *scale, const float *shift, const float *added,
                 float *output, Index rows, Index channels, int threads) {
    const auto result = [=](auto lanes, Index i, Index c) ALWAYS_INLINE_LAMBDA {
        return activate<A>(lanes, at(lanes, input + i) * at(lanes, scale + c) + at(lanes, shift + c));
    };
    if (added)
        for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
            const Index i = row * channels + c;
            at(lanes, output + i) = result(lanes, i, c) + at(lanes, added + i);
        });
    else
        for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
            const Index i = row * channels + c;
            at(lanes, output + i) = result(lanes, i, c);
        });
}

template <Activation A>
void norm_backward(const float *gradient, const float *input, const float *scale,
                   const float *shift, const float *mean, const float *inverse,
                   float *input_gradient, float *gamma_gradient, float *beta_gradient, Index rows,
                   Index channels, int threads) {
    auto one = zeros(channels), two = zeros(channels);
    sum_rows(rows, channels, threads, one.get(), two.get(),
             [=](auto lanes, Index row, Index c, auto &a, auto &b) ALWAYS_INLINE_LAMBDA {
                 const Index i = row * channels + c;
                 const auto x = at(lanes, input + i);
                 const auto before = at(lanes, gradient + i) *
                     slope<A>(lanes, x * at(lanes, scale + c) + at(lanes, shift + c));
                 at(lanes, input_gradient + i) = before;
                 a += before;
                 b += before * (x - at(lanes, mean + c));
             });
    // scale * (g - mean(g) - normalised * mean(g * normalised)), as scale * g + slope * x + constant.
    auto numbers = std::make_unique<float[]>(2 * channels);
    float *slope_x = numbers.get(), *constant = slope_x + channels;
    for (Index c = 0; c < channels; ++c) {
        beta_gradient[c] = static_cast<float>(one[c]);
        gamma_gradient[c] = static_cast<float>(two[c] * inverse[c]);
        const double b = -two[c] / rows * inverse[c] * inverse[c] * scale[c];
        slope_x[c] = static_cast<float>(b);
        constant[c] = static_cast<float>(-one[c] / rows * scale[c] - b * mean[c]);
    }
    for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
        const Index i = row * channels + c;
        at(lanes, input_gradient + i) = at(lanes, input_gradient + i) * at(lanes, scale + c) +
            (at(lanes, input + i) * at(lanes, slope_x + c) + at(lanes, constant + c));
    });
}

}  // namespace

extern "C" {

// output = depthwise convolution of input with "same" padding kernel / 2; kernel odd, 1 to 9.
void depthwise_forward(const float *input, const float *weights, float *output, Index images,
                       Index height, Index width, Index channels, int kernel, int stride,
                       int threads) {
    const Depthwise d{images, height, width, channels, kernel, stride};
    const Index blocks = (channels + LANES - 1) / LANES;
    for_parts(images, threads, [&](Index first, Index last, int) {
        vec *packed = scratch(2, blocks * d.taps());
        for (Index b = 0; b < blocks; ++b)
            pack_weights(weights + b * LANES * d.taps(), d.taps(),
                         std::min(LANES, channels - b * LANES), packed + b * d.taps());
        for (Index n = first; n < last; ++n)
            for (Index b = 0; b < blocks; ++b)
                forward_block(d, input + n * height * width * channels + b * LANES,
                              packed + b * d.taps(),
                              output + n * d.out_height() * d.out_width() * channels + b * LANES,
                              std::min(LANES, channels - b * LANES));
    });
}

// The gradients of the weights and, unless `input_gradient` is null, of the input.
void depthwise_backward(const float *input, const float *weights, const float *gradient,
                        float *input_gradient, float *weight_gradient, Index images, Index height,
                        Index width, Index channels, int kernel, int stride, int threads) {
    const Depthwise d{images, height, width, channels, kernel, stride};
    const Index blocks = (channels + LANES - 1) / LANES, size = blocks * d.taps();
    const Memory memory = allocate(threads * size * static_cast<Index>(sizeof(vec)));
    vec *sums = static_cast<vec *>(memory.get());
    for_parts(images, threads, [&](Index first, Index last, int part) {
        vec *packed = scratch(2, size), *total = sums + part * size;
        std::memset(total, 0, size * sizeof(vec));
        for (Index b = 0; b < blocks; ++b)
            pack_weights(weights + b * LANES * d.taps(), d.taps(),
                         std::min(LANES, channels - b * LANES), packed + b * d.taps());
        for (Index n = first; n < last; ++n)
            for (Index b = 0; b < blocks; ++b) {
                const Index in = n * height * width * channels + b * LANES;
                const Index out = n * d.out_height() * d.out_width() * channels + b * LANES;
                backward_block(d, input + in, packed + b * d.taps(), gradient + out,
                               input_gradient ? input_gradient + in : nullptr,
                               total + b * d.taps(), std::min(LANES, channels - b * LANES));
            }
    });
    for (Index c = 0; c < channels; ++c)
        for (Index t = 0; t < d.taps(); ++t) {
            float sum = 0.0f;
            for (int part = 0; part < threads; ++part)
                sum += sums[part * size + c / LANES * d.taps() + t][c % LANES];
            weight_gradient[c * d.taps() + t] = sum;
        }
}

// output = activate(input * scale + shift) + added: a batch norm with fixed statistics.
void scale_shift(const float *input, const float *scale, const float *shift, const float *added,
                 float *output, Index rows, Index channels, int activation, int threads) {
    with_activation(activation, [&](auto a) {
        scale_shift<a()>(input, scale, shift, added, output, rows, channels, threads);
    });
}

// Batch norm by the batch's own statistics, the activation, and what is added (may be null).
// `statistics` receives four rows of `channels` numbers for the backward pass: the mean, 1 /
// sqrt(variance + eps), and the scale and shift that they make with gamma and beta. The running
// statistics move by `momentum`, the variance unbiased, as torch's do.
void norm_forward(const float *input, const float *gamma, const float *beta, const float *added,
                  float *output, float *statistics, float *running_mean, float *running_variance,
                  Index rows, Index channels, double eps, double momentum, int activation,
                  int threads) {
    auto one = zeros(channels), two = zeros(channels);
    // Sums of differences to the first row: no digits are lost where the mean is large.
    sum_rows(rows, channels, threads, one.get(), two.get(),
             [=](auto lanes, Index row, Index c, auto &a, auto &b) ALWAYS_INLINE_LAMBDA {
                 const auto difference =
                     at(lanes, input + row * channels + c) - at(lanes, input + c);
                 a += difference;
                 b += difference * difference;
             });
    float *mean = statistics, *inverse = mean + channels, *scale = inverse + channels,
          *shift = scale + channels;
    for (Index c = 0; c < channels; ++c) {
        const double difference = one[c] / rows;
        const double variance = std::max(0.0, two[c] / rows - difference * difference);
        const double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
        mean[c] = static_cast<float>(input[c] + difference);
        inverse[c] = static_cast<float>(1.0 / std::sqrt(variance + eps));
        scale[c] = gamma[c] * inverse[c];
        shift[c] = beta[c] - mean[c] * scale[c];
        running_mean[c] += static_cast<float>(momentum * (mean[c] - running_mean[c]));
        running_variance[c] += static_cast<float>(momentum * (unbiased - running_variance[c]));
    }
    scale_shift(input, scale, shift, added, output, rows, channels, activation, threads);
}

// The gradients of a batch norm with activation; what was added has the gradient unchanged.
void norm_backward(const float *gradient, const float *input, const float *statistics,
                   float *input_gradient, float *gamma_gradient, float *beta_gradient, Index rows,
                   Index channels, int activation, int threads) {
    const float *mean = statistics, *inverse = mean + channels, *scale = inverse + channels,
                *shift = scale + channels;
    with_activation(activation, [&](auto a) {
        norm_backward<a()>(gradient, input, scale, shift, mean, inverse, input_gradient,
                           gamma_gradient, beta_gradient, rows, channels, threads);
    });
}

// output[n][c] = sum over the pixels of image n of input * factor (may be null, then of input).
void sum_pixels(const float *input, const float *factor, float *output, Index images,
                Index pixels, Index channels, int threads) {
    for_parts(images, threads, [=](Index first, Index last, int) {
        for (Index n = first; n < last; ++n)
            for_channels(channels, [=](auto lanes, Index c) {
                typename decltype(lanes)::floats sum = {};
                const Index start = n * pixels * channels + c, end = start + pixels * channels;
                if (factor)
                    for (Index i = start; i < end; i += channels)
                        sum += at(lanes, input + i) * at(lanes, factor + i);
                else
                    for (Index i = start; i < end; i += channels) sum += at(lanes, input + i);
                at(lanes, output + n * channels + c) = sum;
            });
    });
}

// output = input * factor[n][c] + term[n][c] for every pixel; `term` may be null.
void scale_images(const float *input, const float *factor, const float *term, float *output,
                  Index images, Index pixels, Index channels, int threads) {
    for_parts(images, threads, [=](Index first, Index last, int) {
        for (Index n = first; n < last; ++n) {
            const float *f = factor + n * channels, *t = term ? term + n * channels : nullptr;
            for (Index row = n * pixels; row < (n + 1) * pixels; ++row)
                for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    const Index i = row * channels + c;
                    const auto scaled = at(lanes, input + i) * at(lanes, f + c);
                    at(lanes, output + i) = t ? scaled + at(lanes, t + c) : scaled;
                });
        }
    });
}

}  // extern "C"
