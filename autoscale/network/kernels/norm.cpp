// Batch norm with activation, and squeeze-and-excitation on its maps. What is stored and what is
// computed as it is read: see norm.h.

#include "norm.h"

namespace {

// Runs run(lanes, row, c) for every row and all its channels.
template <typename Run>
void for_rows(Index rows, Index channels, int threads, Run run) {
    for_parts(rows, threads, [&](Index first, Index last, int) {
        for (Index row = first; row < last; ++row)
            for_channels(channels, [&](auto lanes, Index c) ALWAYS_INLINE_LAMBDA { run(lanes, row, c); });
    });
}

// result[n][c] = sum over the pixels of image n of term(lanes, row, c), on the images' threads.
template <typename Term>
void sum_images(float *result, Index images, Index pixels, Index channels, int threads, Term term) {
    for_parts(images, threads, [=](Index first, Index last, int) {
        for (Index n = first; n < last; ++n) {
            float *sums = result + n * channels;
            std::fill(sums, sums + channels, 0.0f);
            for (Index row = n * pixels; row < (n + 1) * pixels; row += TOGETHER) {
                const Index together = std::min(TOGETHER, (n + 1) * pixels - row);
                for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    auto sum = at(lanes, sums + c);
                    if (together == TOGETHER)
                        for (int r = 0; r < TOGETHER; ++r) sum += term(lanes, row + r, c);
                    else
                        for (int r = 0; r < together; ++r) sum += term(lanes, row + r, c);
                    put(lanes, sums + c, sum);
                });
            }
        }
    });
}

// y = act(z * scale + shift), a register of it.
template <Activation A>
struct Normed {
    const Number *z;
    const float *scale, *shift;
    Index channels;

    template <typename L>
    ALWAYS_INLINE typename L::floats before(L lanes, Index row, Index c) const {
        return at(lanes, z + row * channels + c) * at(lanes, scale + c) + at(lanes, shift + c);
    }
    template <typename L>
    ALWAYS_INLINE typename L::floats operator()(L lanes, Index row, Index c) const {
        return activate<A>(lanes, before(lanes, row, c));
    }
};

template <Activation A>
Normed<A> normed(const Number *z, const float *statistics, Index channels) {
    return {z, statistics + 2 * channels, statistics + 3 * channels, channels};
}

}  // namespace

extern "C" {

// output = act(z * scale + shift) + added; `added` may be null.
void apply_norm(const Number *z, const float *scale, const float *shift, const Number *added,
                Number *output, Index rows, Index channels, int activation, int threads) {
    with_activation(activation, [=](auto a) {
        const Normed<a()> y{z, scale, shift, channels};
        if (added)
            for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
                const Index i = row * channels + c;
                put(lanes, output + i, y(lanes, row, c) + at(lanes, added + i));
            });
        else
            for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
                put(lanes, output + row * channels + c, y(lanes, row, c));
            });
    });
}

// The statistics of a map, four rows of C; the running ones move by `momentum`, as torch's do.
void measure_norm(const Number *z, const float *gamma, const float *beta, float *statistics,
                  float *running_mean, float *running_variance, Index rows, Index channels,
                  double eps, double momentum, int threads) {
    Moments moments(channels, threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        moments.add(part, z + first * channels, last - first);
    });
    moments.finish({gamma, beta, eps, momentum, statistics, running_mean, running_variance});
}

// pre = gradient * act'(z * scale + shift), and from its sums the gradients of gamma and beta and the
// coefficients of z's. If `pooled`, (N, C), is not null, that is the gradient of every pixel of an image
// instead. `pre` may be `gradient`; without an activation it is, and nothing is written.
void differentiate_norm(const Number *gradient, const Number *z, const float *statistics,
                        const float *pooled, Number *pre, float *of_gamma, float *of_beta,
                        float *coefficients, Index images, Index pixels, Index channels,
                        int activation, int threads) {
    GradientSums sums(channels, threads);
    with_activation(activation, [=, &sums](auto a) {
        const auto y = normed<a()>(z, statistics, channels);
        const auto sum = [=, &sums](Index first, Index last, int part, auto given) {
            sum_rows(first, last, channels, sums.of(part),
                     [=](auto lanes, Index row, Index c, auto &one, auto &two) ALWAYS_INLINE_LAMBDA {
                         const Index i = row * channels + c;
                         auto g = given(lanes, i, c);
                         if constexpr (a() != NONE) g *= slope<a()>(lanes, y.before(lanes, row, c));
                         if (a() != NONE || pooled) put(lanes, pre + i, g);
                         one += g;
                         two += g * (at(lanes, z + i) - at(lanes, statistics + c));
                     });
        };
        for_parts(images, threads, [=](Index first, Index last, int part) {
            if (!pooled)
                return sum(first * pixels, last * pixels, part,
                           [=](auto lanes, Index i, Index) ALWAYS_INLINE_LAMBDA {
                               return at(lanes, gradient + i);
                           });
            for (Index n = first; n < last; ++n)
                sum(n * pixels, (n + 1) * pixels, part,
                    [=](auto lanes, Index, Index c) ALWAYS_INLINE_LAMBDA {
                        return at(lanes, pooled + n * channels + c);
                    });
        });
    });
    sums.finish(images * pixels, statistics, of_gamma, of_beta, coefficients);
}

// of_z = a * pre + b * z + c, which may take the place of `pre`.
void combine_norm(const Number *pre, const Number *z, const float *coefficients, Number *of_z,
                  Index rows, Index channels, int threads) {
    const float *a = coefficients, *b = a + channels, *constant = b + channels;
    for_rows(rows, channels, threads, [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
        const Index i = row * channels + c;
        put(lanes, of_z + i, at(lanes, pre + i) * at(lanes, a + c) +
            (at(lanes, z + i) * at(lanes, b + c) + at(lanes, constant + c)));
    });
}

// sums[n][c] = sum over the pixels of image n of act(z * scale + shift).
void sum_normed(const Number *z, const float *statistics, float *sums, Index images, Index pixels,
                Index channels, int activation, int threads) {
    with_activation(activation, [=](auto a) {
        sum_images(sums, images, pixels, channels, threads, normed<a()>(z, statistics, channels));
    });
}

// sums[n][c] = sum over the pixels of image n of input * factor (may be null, then of input).
void sum_pixels(const Number *input, const Number *factor, float *sums, Index images, Index pixels,
                Index channels, int threads) {
    if (factor)
        sum_images(sums, images, pixels, channels, threads,
                   [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
                       const Index i = row * channels + c;
                       return at(lanes, input + i) * at(lanes, factor + i);
                   });
    else
        sum_images(sums, images, pixels, channels, threads,
                   [=](auto lanes, Index row, Index c) ALWAYS_INLINE_LAMBDA {
                       return at(lanes, input + row * channels + c);
                   });
}

// output = input * factor[n][c] + term[n][c] for every pixel; `term` may be null, and the output
// may take the place of the input.
void scale_images(const Number *input, const float *factor, const float *term, Number *output,
                  Index images, Index pixels, Index channels, int threads) {
    for_parts(images, threads, [=](Index first, Index last, int) {
        for (Index n = first; n < last; ++n) {
            const float *f = factor + n * channels, *t = term ? term + n * channels : nullptr;
            for (Index row = n * pixels; row < (n + 1) * pixels; ++row)
                for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
                    const Index i = row * channels + c;
                    const auto scaled = at(lanes, input + i) * at(lanes, f + c);
                    put(lanes, output + i, t ? scaled + at(lanes, t + c) : scaled);
                });
        }
    });
}

}  // extern "C"
