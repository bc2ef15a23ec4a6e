// What an inverted bottleneck computes around its products, some rows at a time: a map that a norm
// gives is made where a product reads it, and what comes out of a product goes through the slope of
// an activation before it is stored. Between two maps nothing goes through more than the cache.

#include "bottleneck.h"

namespace {

// Where rows of a product go that are the gradient behind an activation: before it, and to the sums
// of its norm.
struct Differentiated {
    Differentiated(Number *pre, const Number *slopes, const Number *z, const float *mean,
                   Index channels, double *sums)
        : groups(tiles(channels, SIDE)), pre(pre), slopes(slopes), z(z), mean(mean),
          channels(channels), sums(sums), ones(scratch(1, 2 * groups)), twos(ones + groups) {
        std::fill(ones, ones + 2 * groups, vec{});
    }

    // As `Outcome::take`.
    template <typename Sum>
    ALWAYS_INLINE void take(Index row, Index count, Index group, Sum sum) {
        const Index c = group * SIDE, i = row * channels + c, lanes = std::min(SIDE, channels - c);
        const vec middle = load(mean + c, lanes);
        vec one = {}, two = {};
#pragma GCC unroll 12
        for (Index r = 0; r < count; ++r) {
            const Index at = i + r * channels;
            const vec v = sum(r) * load(slopes + at - start * channels, lanes);
            store(pre + at, v, lanes);
            one += v;
            two += v * (load(z + at, lanes) - middle);
        }
        ones[group] += one, twos[group] += two;
    }

    void end(Index count) {
        if ((summed += count) >= CHUNK) flush();
    }

    void flush() {
        for (Index group = 0; group < groups; ++group) {
            const Index c = group * SIDE;
            for (Index lane = 0; lane < std::min(SIDE, channels - c); ++lane) {
                sums[c + lane] += ones[group][lane];
                sums[channels + c + lane] += twos[group][lane];
            }
            ones[group] = twos[group] = vec{};
        }
        summed = 0;
    }

    Index groups;
    Index start = 0;  // first row of `slopes`
    Number *pre;
    const Number *slopes, *z;
    const float *mean;
    Index channels;
    double *sums;
    vec *ones, *twos;
    Index summed = 0;
};

}  // namespace

extern "C" {

// The quickest way of products here.
int quickest_way() {
#ifdef HAS_TILES
    if (by_tiles::allowed()) return TILES;
#endif
#ifdef HAS_DOTS
    return DOTS;
#else
    return FMAS;
#endif
}

// result = x * weight', and unless `gamma` is null the result's statistics as by `measure_norm`;
// `weight` has a row for each column of the result.
void expand_forward(const Number *x, const float *weight, Number *result, const float *gamma,
                    const float *beta, float *statistics, float *running_mean,
                    float *running_variance, double eps, double momentum, Index rows, Index depth,
                    Index columns, int threads, int way) {
    const Packed packed(weight, 1, depth, depth, columns);
    Moments moments(gamma ? columns : 0, threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        Outcome outcome(nullptr, result, columns, first, gamma ? &moments : nullptr, part);
        CHOSEN(way, multiply_part(x, packed.numbers(), first, last, depth, outcome));
        outcome.flush();
    });
    if (gamma)
        moments.finish({gamma, beta, eps, momentum, statistics, running_mean, running_variance});
}

// The same of x = act(z * scale + shift) * gate[n]; `gate`, (N, C), may be null.
void project_forward(const Number *z, const float *z_statistics, int activation,
                     const float *gate, const float *weight, Number *result, const float *gamma,
                     const float *beta, float *statistics, float *running_mean,
                     float *running_variance, double eps, double momentum, Index images,
                     Index pixels, Index channels, Index columns, int threads, int way) {
    const Packed packed(weight, 1, channels, channels, columns);
    const Hidden hidden{z, z_statistics, gate, pixels, channels, activation};
    Moments moments(gamma ? columns : 0, threads);
    for_parts(images * pixels, threads, [&](Index first, Index last, int part) {
        Outcome outcome(nullptr, result, columns, first, gamma ? &moments : nullptr, part);
        Number *made = panel(2, channels);
        for_panels(first, last, channels, [&](Index start, Index end) {
            hidden.make(start, end, made, nullptr);
            CHOSEN(way, multiply_part(made - start * channels, packed.numbers(), start, end,
                                      channels, outcome));
        });
        outcome.flush();
    });
    if (gamma)
        moments.finish({gamma, beta, eps, momentum, statistics, running_mean, running_variance});
}

// Through that product without a gate, with the gradient a * gradient + b * result + c of its result,
// to the gradient of its weights, and to `pre`, the gradient before the norm of z, with its sums as of
// `differentiate_norm`.
void project_backward(const Number *gradient, const Number *result, const float *coefficients,
                      const Number *z, const float *z_statistics, int activation,
                      const float *weight, Number *pre, float *of_weight, float *of_gamma,
                      float *of_beta, float *of_z_coefficients, Index images, Index pixels,
                      Index channels, Index columns, int threads, int way) {
    const Packed packed(weight, channels, 1, columns, channels);
    const Hidden hidden{z, z_statistics, nullptr, pixels, channels, activation};
    const OfNorm of_result{gradient, result, coefficients, columns};
    ColumnProducts products(columns, channels, threads);
    GradientSums sums(channels, threads);
    const Index widest = std::max(channels, columns);
    for_parts(images, threads, [&](Index first, Index last, int part) {
        Number *made = panel(2, widest), *of_made = panel(3, widest), *slopes = panel(4, widest);
        Differentiated before(pre, slopes, z, z_statistics, channels, sums.of(part));
        for_panels(first * pixels, last * pixels, widest, [&](Index start, Index end) {
            hidden.make(start, end, made, slopes);
            of_result.make(start, end, of_made);
            products.add(of_made, made, 0, end - start, part, way);
            before.start = start;
            CHOSEN(way, multiply_part(of_made - start * columns, packed.numbers(), start, end, columns,
                                      before));
        });
        before.flush();
    });
    products.add_to(of_weight);
    sums.finish(images * pixels, z_statistics, of_gamma, of_beta, of_z_coefficients);
}

// Through x * weight' with the gradient a * pre + b * z + c of its result z: of_x, plus `added` if
// that is not null, unless it is null; and the gradient of the weights.
void expand_backward(const Number *pre, const Number *z, const float *coefficients,
                     const Number *x, const float *weight, const Number *added, Number *of_x,
                     float *of_weight, Index rows, Index depth, Index channels, int threads,
                     int way) {
    const Packed packed(weight, depth, 1, channels, depth);
    const OfNorm of_z{pre, z, coefficients, channels};
    ColumnProducts products(depth, channels, threads);
    for_parts(rows, threads, [&](Index first, Index last, int part) {
        Number *made = panel(2, channels);
        Outcome outcome(added, of_x, depth, first, nullptr, part);
        for_panels(first, last, channels, [&](Index start, Index end) {
            of_z.make(start, end, made);
            products.add(x + start * depth, made, 0, end - start, part, way);
            if (of_x)
                CHOSEN(way, multiply_part(made - start * channels, packed.numbers(), start, end,
                                          channels, outcome));
        });
    });
    products.turn_to(of_weight);
}

}  // extern "C"

