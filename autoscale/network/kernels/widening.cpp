// The wide half of an inverted bottleneck: an expansion, its norm and the depthwise convolution behind
// it, of which no map is stored but the last. What the expansion gives is made again wherever it is
// read, for as few images and channels as the cache holds.
//
// That takes the statistics of the map beforehand. With rows x of M pixels, weights W, the mean m and
// the covariance S of x they are W m and diag(W S W'). And the gradient a * pre + b * z + c of a norm's
// input z = W x, of which a is known beforehand, gives with P = pre' (x - m) and o, the sums of pre:
//
//     of W:  diag(a) P + M diag(b) W S
//     of x:  pre diag(a) W + (x - m) W' diag(b) W - (o / M)' diag(a) W

#include "bottleneck.h"
#include "depthwise.h"

namespace {

constexpr Index STEP = 32;  // channels: whole groups, and whole tiles of pairs

constexpr Index EXACT_ROWS = 1024;  // whose products are summed in float32 before they join float64

// Which images and channels of a wide map are made together.
struct Pieces {
    Pieces(Index pixels, Index all) : images(images_of_piece(pixels, all)) {
        const Index most = std::max<Index>(1, PIECE_BYTES / (NUMBER * pixels * STEP)) * STEP;
        channels = std::min(all, tiles(tiles(all, tiles(all, most)), STEP) * STEP);
        numbers = images * pixels * channels;
    }
    Index images, channels, numbers;  // the last pieces may have fewer
};

// Calls run(image, images, channel, channels) for the pieces of images [first, last).
template <typename Run>
void for_pieces(Index first, Index last, Index channels, const Pieces &pieces, Run run) {
    for (Index n = first; n < last; n += pieces.images)
        for (Index c = 0; c < channels; c += pieces.channels)
            run(n, std::min(pieces.images, last - n), c, std::min(pieces.channels, channels - c));
}

// x * weight' of a 1x1 convolution, which nobody has stored.
struct Expansion {
    Expansion(const Number *x, const float *weight, Index pixels, Index depth, Index channels)
        : x(x), pixels(pixels), depth(depth), packed(weight, 1, depth, depth, channels) {}

    // Channels [c, c + own) of images [n, n + count), beside one another.
    void make(Index n, Index count, Index c, Index own, Number *to, int part, int way) const {
        Outcome outcome(nullptr, to, own, 0, nullptr, part);
        CHOSEN(way, multiply_part(image(n), packed.from(c), 0, count * pixels, depth, outcome));
    }

    const Number *image(Index n) const { return x + n * pixels * depth; }

    const Number *x;
    Index pixels, depth;
    Packed packed;
};

// `from` as products have it.
std::unique_ptr<float[]> rounded(const float *from, Index count) {
    auto to = std::make_unique<float[]>(count);
    for (Index i = 0; i < count; ++i) {
        Factor number;
        store(&number, vec{} + from[i], 1);
        to[i] = load(&number, 1)[0];
    }
    return to;
}

// row * matrix, `depth` numbers by `depth` columns.
void times_square(const float *row, const float *matrix, Index depth, float *result) {
    std::fill(result, result + depth, 0.0f);
    for (Index k = 0; k < depth; ++k) {
        const float factor = row[k];
        for_channels(depth, [=](auto lanes, Index i) ALWAYS_INLINE_LAMBDA {
            put(lanes, result + i,
                at(lanes, result + i) + at(lanes, matrix + k * depth + i) * factor);
        });
    }
}

// Where rows of a product go of which a part has been summed before: to float32 sums, and in the end
// to a map.
struct Summed {
    template <typename Sum>
    ALWAYS_INLINE void take(Index row, Index count, Index group, Sum sum) {
        const Index c = group * SIDE, i = row * columns + c, lanes = std::min(SIDE, columns - c);
#pragma GCC unroll 12
        for (Index r = 0; r < count; ++r) {
            vec v = sum(r);
            if (!begins) v += load(sums + i + r * columns, lanes);
            if (ends)
                store(result + i + r * columns, v, lanes);
            else
                store(sums + i + r * columns, v, lanes);
        }
    }
    void end(Index) {}

    bool begins, ends;
    float *sums;
    Number *result;
    Index columns, groups = tiles(columns, SIDE);
};

// Where rows of a product go that are added to a map, with the same for every row and perhaps others.
struct Corrected {
    template <typename Sum>
    ALWAYS_INLINE void take(Index row, Index count, Index group, Sum sum) {
        const Index c = group * SIDE, i = row * columns + c, lanes = std::min(SIDE, columns - c);
        const vec same = load(constant + c, lanes);
#pragma GCC unroll 12
        for (Index r = 0; r < count; ++r) {
            vec v = sum(r) + load(result + i + r * columns, lanes) + same;
            if (added) v += load(added + i + r * columns, lanes);
            store(result + i + r * columns, v, lanes);
        }
    }
    void end(Index) {}

    const Number *added;
    const float *constant;
    Number *result;
    Index columns, groups = tiles(columns, SIDE);
};

}  // namespace

extern "C" {

// The statistics of x * weight', four rows of C as by `measure_norm`, of x, (images, pixels, depth).
// `moments` becomes the means of x and below them its covariance, 1 + depth rows of `depth`.
void widened_statistics(const Number *x, const float *weight, float *moments, const float *gamma,
                        const float *beta, float *statistics, float *running_mean,
                        float *running_variance, double eps, double momentum, Index images,
                        Index pixels, Index depth, Index channels, int threads, int way) {
    const Index square = depth * depth, rows = images * pixels;
    const auto squares = zeros(square);
    const auto totals = zeros(threads * square);
    Moments columns(depth, threads);
    for_parts(images, threads, [&](Index first, Index last, int part) {
        double *total = totals.get() + part * square;
        const auto sums = std::make_unique<float[]>(square);
        for (Index row = first * pixels; row < last * pixels; row += EXACT_ROWS) {
            const Index count = std::min(EXACT_ROWS, last * pixels - row);
            ColumnProducts products(depth, depth, 1);
            products.add(x, x, row, row + count, 0, way);
            std::fill(sums.get(), sums.get() + square, 0.0f);
            products.add_to(sums.get());
            for (Index i = 0; i < square; ++i) total[i] += sums[i];
        }
        columns.add(part, x + first * pixels * depth, (last - first) * pixels);
    });
    for (Index i = 0; i < threads * square; ++i) squares[i % square] += totals[i];
    const auto all = zeros(1 + 2 * depth);
    columns.add_to(all.get());
    const double *means = all.get() + 1;
    float *mean = moments, *covariance = moments + depth;
    for (Index i = 0; i < depth; ++i) {
        mean[i] = static_cast<float>(means[i]);
        for (Index j = 0; j < depth; ++j)
            covariance[i * depth + j] =
                static_cast<float>(squares[i * depth + j] / rows - means[i] * means[j]);
    }
    const Norm norm{gamma, beta, eps, momentum, statistics, running_mean, running_variance};
    const auto weights = rounded(weight, channels * depth);
    const auto product = std::make_unique<float[]>(depth);
    for (Index c = 0; c < channels; ++c) {
        const float *row = weights.get() + c * depth;
        times_square(row, covariance, depth, product.get());
        double middle = 0.0, variance = 0.0;
        for (Index k = 0; k < depth; ++k) {
            middle += row[k] * means[k];
            variance += row[k] * product[k];
        }
        norm.finish(channels, c, rows, middle, variance * rows);
    }
}

// The depthwise convolution of y = act(x * weight' * scale + shift) as by `depthwise_forward`;
// `statistics` are those of x * weight'.
void widened_forward(const Number *x, const float *weight, const float *statistics, int activation,
                     const float *filters, Number *output, const float *gamma, const float *beta,
                     float *output_statistics, float *running_mean, float *running_variance,
                     double eps, double momentum, Index images, Index height, Index width,
                     Index depth, Index channels, int kernel, int stride, int same, int threads,
                     int way) {
    const Depthwise whole = padded({images, height, width, channels, kernel, stride}, same);
    const Index pixels = height * width, result = whole.out_height() * whole.out_width() * channels;
    const Index blocks = tiles(channels, LANES);
    const Expansion expansion(x, weight, pixels, depth, channels);
    const Pieces pieces(pixels, channels);
    Moments moments(channels, threads);
    for_parts(images, threads, [&](Index first, Index last, int part) {
        vec *taps = scratch(2, blocks * whole.taps());
        pack_all_weights(whole, filters, taps);
        Number *made = numbers_in(5, pieces.numbers);
        for_pieces(first, last, channels, pieces, [&](Index n, Index count, Index c, Index own) {
            expansion.make(n, count, c, own, made, part, way);
            Depthwise d = whole;
            d.apart = own;
            with_source(made, statistics, channels, activation, [&](auto source) {
                for (Index image = 0; image < count; ++image)
                    for (Index b = c; b < c + own; b += LANES) {
                        const Index lanes = std::min(LANES, c + own - b);
                        forward_block(d, source(image * pixels * own + b - c, b, lanes),
                                      taps + b / LANES * d.taps(), output + (n + image) * result + b,
                                      lanes, &moments, part, b, n + image == first);
                    }
            });
        });
        moments.rows[part] += (last - first) * whole.out_height() * whole.out_width();
    });
    moments.finish({gamma, beta, eps, momentum, output_statistics, running_mean, running_variance});
}

// Through that convolution as by `depthwise_backward`, and through the norm and the product before
// it: the gradients of the filters, of the norm's gamma and beta, of `weight`, and of x, plus `added`
// if that is not null, unless `of_x` is null. `moments` are what `widened_statistics` gave.
void widened_backward(const Number *x, const float *weight, const float *moments,
                      const float *statistics, int activation, const float *filters,
                      const Number *gradient, const Number *output, const float *coefficients,
                      const Number *added, Number *of_x, float *of_filters, float *of_gamma,
                      float *of_beta, float *of_weight, Index images, Index height, Index width,
                      Index depth, Index channels, int kernel, int stride, int same, int threads,
                      int way) {
    const Depthwise whole = padded({images, height, width, channels, kernel, stride}, same);
    const Index pixels = height * width, result = whole.out_height() * whole.out_width() * channels;
    const Index blocks = tiles(channels, LANES), size = blocks * whole.taps();
    const float *mean = moments, *covariance = moments + depth, *scale = statistics + 2 * channels;
    const auto scaled = std::make_unique<float[]>(channels * depth);
    for (Index c = 0; c < channels; ++c)
        for (Index k = 0; k < depth; ++k) scaled[c * depth + k] = weight[c * depth + k] * scale[c];
    const Expansion expansion(x, weight, pixels, depth, channels);
    const Pieces pieces(pixels, channels);
    std::vector<Packed> backwards;
    for (Index c = 0; c < channels; c += pieces.channels)
        backwards.emplace_back(scaled.get() + c * depth, depth, 1,
                               std::min(pieces.channels, channels - c), depth);
    const Memory memory = allocate(threads * size * static_cast<Index>(sizeof(vec)));
    vec *sums = static_cast<vec *>(memory.get());
    GradientSums norm_sums(channels, threads);
    ColumnProducts products(depth, channels, threads);
    const Gradient of_output{gradient, output, coefficients};
    for_parts(images, threads, [&](Index first, Index last, int part) {
        vec *taps = scratch(2, size), *total = sums + part * size;
        std::memset(total, 0, size * sizeof(vec));
        pack_all_weights(whole, filters, taps);
        Number *made = numbers_in(5, pieces.numbers);
        Number *pre = numbers_in(6, pieces.numbers);
        float *narrow = reinterpret_cast<float *>(
            scratch(7, pieces.images * pixels * depth / LANES + 1));
        for_pieces(first, last, channels, pieces, [&](Index n, Index count, Index c, Index own) {
            const Index rows = count * pixels;
            expansion.make(n, count, c, own, made, part, way);
            Depthwise d = whole;
            d.apart = own;
            with_source(made, statistics, channels, activation, [&](auto source) {
                for (Index image = 0; image < count; ++image)
                    for (Index b = c; b < c + own; b += LANES) {
                        const Index lanes = std::min(LANES, c + own - b);
                        const Index at = image * pixels * own + b - c;
                        const Place place{at, (n + image) * result + b, b, lanes};
                        backward_block(d, source(at, b, lanes), taps + b / LANES * d.taps(),
                                       of_output, place, pre + at, total + b / LANES * d.taps(),
                                       norm_sums.of(part) + b);
                    }
            });
            products.add_some(expansion.image(n), pre, rows, c, own, part, way);
            if (!of_x) return;
            Summed narrowed{c == 0, c + own == channels, narrow, of_x + n * pixels * depth, depth};
            CHOSEN(way, multiply_part(pre, backwards[c / pieces.channels].numbers(), 0, rows, own,
                                      narrowed));
        });
    });
    unpack_sums(whole, sums, threads, of_filters);
    const Index rows = images * pixels;
    const auto found = std::make_unique<float[]>(3 * channels);
    norm_sums.finish(rows, statistics, of_gamma, of_beta, found.get());
    const float *a = found.get(), *b = a + channels;
    products.turn_to(of_weight);
    const auto weights = rounded(weight, channels * depth);
    const auto back = std::make_unique<float[]>(depth * depth);
    const auto constant = std::make_unique<float[]>(depth);
    const auto product = std::make_unique<float[]>(depth);
    std::fill(back.get(), back.get() + depth * depth, 0.0f);
    std::fill(constant.get(), constant.get() + depth, 0.0f);
    for (Index c = 0; c < channels; ++c) {
        const float *row = weights.get() + c * depth;
        float *own = of_weight + c * depth;
        times_square(row, covariance, depth, product.get());
        for (Index k = 0; k < depth; ++k) {
            own[k] = a[c] * (own[k] - of_beta[c] * mean[k]) + rows * b[c] * product[k];
            constant[k] -= of_beta[c] / rows * a[c] * row[k];
        }
        if (!of_x) continue;
        for (Index k = 0; k < depth; ++k) {
            const float factor = b[c] * row[k];
            float *to = back.get() + k * depth;
            for_channels(depth, [=](auto lanes, Index i) ALWAYS_INLINE_LAMBDA {
                put(lanes, to + i, at(lanes, to + i) + at(lanes, row + i) * factor);
            });
        }
    }
    if (!of_x) return;
    const auto middle = rounded(back.get(), depth * depth);
    for (Index k = 0; k < depth; ++k)
        for (Index i = 0; i < depth; ++i) constant[i] -= mean[k] * middle[k * depth + i];
    const Packed correction(middle.get(), depth, 1, depth, depth);
    for_parts(rows, threads, [&](Index first, Index last, int) {
        Corrected corrected{added, constant.get(), of_x, depth};
        CHOSEN(way, multiply_part(x, correction.numbers(), first, last, depth, corrected));
    });
}

}  // extern "C"

