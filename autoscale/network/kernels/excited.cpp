// The narrow half of an inverted bottleneck with squeeze-and-excitation: from the map before the norm
// of the depthwise convolution to the result of the projection, and back. Images go through all of it
// while the cache holds them.

#include "bottleneck.h"
#include "excite.h"

namespace {

// An image's map times its gates, rows [start, end), which begin with the first row of `map`.
void reweight(const Number *map, const float *gates, Index start, Index end, Index pixels,
              Index channels, Number *to) {
    for (Index row = start; row < end; ++row) {
        const float *gate = gates + row / pixels * channels;
        for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
            const Index i = (row - start) * channels + c;
            put(lanes, to + i, at(lanes, map + i) * at(lanes, gate + c));
        });
    }
}

// sums[n][c] += one * other over rows [start, end) of a map; `other` begins with the first of them.
void sum_products(const Number *one, const Number *other, Index start, Index end, Index pixels,
                  Index channels, float *sums) {
    for (Index row = start; row < end;) {
        const Index image = row / pixels, until = std::min(end, (image + 1) * pixels);
        float *own = sums + image * channels;
        for_channels(channels, [=](auto lanes, Index c) ALWAYS_INLINE_LAMBDA {
            auto sum = at(lanes, own + c);
            for (Index r = row; r < until; ++r)
                sum += at(lanes, one + r * channels + c) *
                    at(lanes, other + (r - start) * channels + c);
            put(lanes, own + c, sum);
        });
        row = until;
    }
}

}  // namespace

extern "C" {

// result = (act(z * scale + shift) * gate[n]) * weight', and its statistics as by `measure_norm`;
// `gate` is made of the map before it, and all of `Excited` written.
void excited_forward(const Number *z, const float *z_statistics, int activation,
                     const float *first, const float *first_bias, const float *second,
                     const float *second_bias, int excite_activation, float *pooled, float *reduced,
                     float *active, float *gate, const float *weight, Number *result,
                     const float *gamma, const float *beta, float *statistics, float *running_mean,
                     float *running_variance, double eps, double momentum, Index images,
                     Index pixels, Index channels, Index squeezed, Index columns, int threads,
                     int way) {
    const Packed packed(weight, 1, channels, channels, columns);
    const Hidden hidden{z, z_statistics, nullptr, pixels, channels, activation};
    const Excite excite(first, second, channels, squeezed, excite_activation);
    const Excited excited{pooled, reduced, active, gate};
    const Index together = images_of_piece(pixels, channels);
    Moments moments(columns, threads);
    for_parts(images, threads, [&](Index begin, Index last, int part) {
        Outcome outcome(nullptr, result, columns, begin * pixels, &moments, part);
        Number *made = panel(2, channels), *map = numbers_in(5, together * pixels * channels);
        for (Index n = begin; n < last; n += together) {
            const Index count = std::min(together, last - n);
            for (Index image = n; image < n + count; ++image)
                hidden.make_pooled(image, map + (image - n) * pixels * channels,
                                   pooled + image * channels);
            excite.forward(excited, first_bias, second_bias, n, count);
            for_panels(n * pixels, (n + count) * pixels, channels, [&](Index start, Index end) {
                reweight(map + (start - n * pixels) * channels, gate, start, end, pixels, channels,
                         made);
                CHOSEN(way, multiply_part(made - start * channels, packed.numbers(), start, end,
                                          channels, outcome));
            });
        }
        outcome.flush();
    });
    moments.finish({gamma, beta, eps, momentum, statistics, running_mean, running_variance});
}

// Through all that, with the gradient a * gradient + b * result + c of its result, to the gradients
// of all weights, and to `pre`, the gradient before the norm of z, with its sums as of
// `differentiate_norm`.
void excited_backward(const Number *gradient, const Number *result, const float *coefficients,
                      const Number *z, const float *z_statistics, int activation,
                      const float *first, const float *second, int excite_activation, float *pooled,
                      float *reduced, float *active, float *gate, const float *weight, Number *pre,
                      float *of_weight, float *of_gamma, float *of_beta, float *of_z_coefficients,
                      float *of_first, float *of_first_bias, float *of_second,
                      float *of_second_bias, Index images, Index pixels, Index channels,
                      Index squeezed, Index columns, int threads, int way) {
    const Packed packed(weight, channels, 1, columns, channels);
    const Hidden hidden{z, z_statistics, gate, pixels, channels, activation};
    const OfNorm of_result{gradient, result, coefficients, columns};
    const Excite excite(first, second, channels, squeezed, excite_activation);
    const Excited excited{pooled, reduced, active, gate};
    const Index together = images_of_piece(pixels, channels), widest = std::max(channels, columns);
    const auto of_gate = std::make_unique<float[]>(images * channels);
    const auto of_reduced = std::make_unique<float[]>(images * squeezed);
    ColumnProducts products(columns, channels, threads);
    GradientSums sums(channels, threads);
    for_parts(images, threads, [&](Index begin, Index last, int part) {
        Number *made = panel(2, widest), *of_made = panel(4, widest);
        Number *slopes = numbers_in(5, together * pixels * channels);
        Number *of_gated = numbers_in(6, together * pixels * channels);
        const auto of_pooled = std::make_unique<float[]>(together * channels);
        for (Index n = begin; n < last; n += together) {
            const Index count = std::min(together, last - n), row = n * pixels;
            Number *stored = of_gated - row * channels;  // as if of all images
            Outcome outcome(nullptr, stored, channels, row, nullptr, part);
            for_panels(row, row + count * pixels, widest, [&](Index start, Index end) {
                hidden.make(start, end, made, slopes + (start - row) * channels);
                of_result.make(start, end, of_made);
                products.add(of_made, made, 0, end - start, part, way);
                CHOSEN(way, multiply_part(of_made - start * columns, packed.numbers(), start, end,
                                          columns, outcome));
                sum_products(stored, made, start, end, pixels, channels, of_gate.get());
            });
            excite.backward(excited, of_gate.get(), of_reduced.get(), of_pooled.get(), n, count);
            for (Index i = 0; i < count * channels; ++i) of_pooled[i] /= pixels;
            for (Index image = n; image < n + count; ++image) {
                const float *factor = gate + image * channels;
                const float *term = of_pooled.get() + (image - n) * channels;
                const Number *slope = slopes - row * channels;
                sum_rows(image * pixels, (image + 1) * pixels, channels, sums.of(part),
                         [=](auto lanes, Index r, Index c, auto &one,
                             auto &two) ALWAYS_INLINE_LAMBDA {
                             const Index i = r * channels + c;
                             const auto g = (at(lanes, stored + i) * at(lanes, factor + c) +
                                             at(lanes, term + c)) * at(lanes, slope + i);
                             put(lanes, pre + i, g);
                             one += g;
                             two += g * (at(lanes, z + i) - at(lanes, z_statistics + c));
                         });
            }
        }
    });
    products.add_to(of_weight);
    sums.finish(images * pixels, z_statistics, of_gamma, of_beta, of_z_coefficients);
    excite.differentiate(excited, of_gate.get(), of_reduced.get(), of_first, of_first_bias,
                         of_second, of_second_bias, images);
}

}  // extern "C"

