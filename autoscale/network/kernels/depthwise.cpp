// Depthwise convolutions of maps that are stored, or were before their norm.

#include "depthwise.h"

extern "C" {

// output = depthwise convolution of x, padded by kernel / 2, or as TensorFlow's "same" says if `same`
// is not 0; kernel odd, 1 to 9. x is `input`, or act(input * scale + shift) if `statistics` is not
// null. Unless `gamma` is null, the output's statistics are measured as by `measure_norm`.
void depthwise_forward(const Number *input, const float *statistics, int activation,
                       const float *weights, Number *output, const float *gamma, const float *beta,
                       float *output_statistics, float *running_mean, float *running_variance,
                       double eps, double momentum, Index images, Index height, Index width,
                       Index channels, int kernel, int stride, int same, int threads) {
    const Depthwise d = padded({images, height, width, channels, kernel, stride}, same);
    const Index blocks = (channels + LANES - 1) / LANES;
    Moments moments(channels, threads);
    with_source(input, statistics, channels, activation, [&](auto source) {
        for_parts(images, threads, [&](Index first, Index last, int part) {
            vec *packed = scratch(2, blocks * d.taps());
            pack_all_weights(d, weights, packed);
            for (Index n = first; n < last; ++n) {
                for (Index b = 0; b < blocks; ++b) {
                    const Index c = b * LANES, lanes = std::min(LANES, channels - c);
                    forward_block(d, source(n * height * width * channels + c, c, lanes),
                                  packed + b * d.taps(),
                                  output + n * d.out_height() * d.out_width() * channels + c,
                                  lanes, gamma ? &moments : nullptr, part, c, n == first);
                }
                moments.rows[part] += d.out_height() * d.out_width();
            }
        });
    });
    if (gamma)
        moments.finish(
            {gamma, beta, eps, momentum, output_statistics, running_mean, running_variance});
}

// The gradients of the weights and, unless `input_gradient` is null, of the input x. The outputs'
// gradient is `gradient`, or a * gradient + b * output + c if `coefficients` is not null. If
// `statistics` is not null, x is act(input * scale + shift), and `input_gradient` becomes the
// gradient before the activation, with the gradients of gamma and beta and the coefficients of
// `differentiate_norm`.
void depthwise_backward(const Number *input, const float *statistics, int activation,
                        const float *weights, const Number *gradient, const Number *output,
                        const float *coefficients, Number *input_gradient, float *weight_gradient,
                        float *of_gamma, float *of_beta, float *input_coefficients, Index images,
                        Index height, Index width, Index channels, int kernel, int stride, int same,
                        int threads) {
    const Depthwise d = padded({images, height, width, channels, kernel, stride}, same);
    const Index blocks = (channels + LANES - 1) / LANES, size = blocks * d.taps();
    const Memory memory = allocate(threads * size * static_cast<Index>(sizeof(vec)));
    vec *sums = static_cast<vec *>(memory.get());
    GradientSums norm_sums(channels, threads);
    const Gradient of_output{gradient, output, coefficients};
    with_source(input, statistics, channels, activation, [&](auto source) {
        for_parts(images, threads, [&](Index first, Index last, int part) {
            vec *packed = scratch(2, size), *total = sums + part * size;
            std::memset(total, 0, size * sizeof(vec));
            pack_all_weights(d, weights, packed);
            for (Index n = first; n < last; ++n)
                for (Index b = 0; b < blocks; ++b) {
                    const Index c = b * LANES, lanes = std::min(LANES, channels - c);
                    const Place place{n * height * width * channels + c,
                                      n * d.out_height() * d.out_width() * channels + c, c, lanes};
                    backward_block(d, source(place.input, c, lanes), packed + b * d.taps(),
                                   of_output, place,
                                   input_gradient ? input_gradient + place.input : nullptr,
                                   total + b * d.taps(), norm_sums.of(part) + c);
                }
        });
    });
    if (statistics && input_gradient)
        norm_sums.finish(images * height * width, statistics, of_gamma, of_beta,
                         input_coefficients);
    unpack_sums(d, sums, threads, weight_gradient);
}

}  // extern "C"
