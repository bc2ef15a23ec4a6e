// Activations and their slopes, on registers of any number of channels.

#pragma once

#include "vectors.h"

namespace {

enum Activation { NONE, RELU, RELU6, SILU, HSWISH };

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

#ifdef __AVX512F__
// The same on 16 channels, in half as many instructions.
ALWAYS_INLINE __m512 reciprocal_of_one_more(__m512 e) {
    const __m512 x = _mm512_add_ps(e, _mm512_set1_ps(1.0f)), r = _mm512_rcp14_ps(x);
    return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(2.0f)));  // a step of Newton's
}

#ifdef BFLOAT16_MAPS
// With errors of 1e-4 of itself: a bfloat16 is 2e-3 off.
ALWAYS_INLINE __m512 roughly_sigmoid(__m512 x) {
    const __m512 t = _mm512_max_ps(_mm512_set1_ps(-125.0f),  // in this order not a number stays so
                                   _mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)));
    const __m512 n = _mm512_roundscale_ps(t, 8), r = _mm512_sub_ps(t, n);
    // 2^r on [-1/2, 1/2].
    __m512 p = _mm512_set1_ps(5.5171745e-2f);
    for (const float next : {2.4261086e-1f, 6.9326098e-1f, 9.9992803e-1f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(next));
    return _mm512_rcp14_ps(_mm512_add_ps(_mm512_scalef_ps(p, n), _mm512_set1_ps(1.0f)));
}
#endif

ALWAYS_INLINE __m512 exponential(__m512 x) {
    x = _mm512_min_ps(_mm512_set1_ps(87.0f), x);  // in this order not a number stays so
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 8);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    for (const float next : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                             5.0000001201e-1f, 1.0f, 1.0f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(next));
    return _mm512_scalef_ps(p, n);
}
#endif

// 1 / (1 + exp(-x)).
template <typename L, typename V = typename L::floats>
ALWAYS_INLINE V sigmoid(L lanes, V x) {
#ifdef __AVX512F__
#ifdef BFLOAT16_MAPS
    if constexpr (std::is_same_v<L, Lanes<LANES>>) return (V)roughly_sigmoid((__m512)x);
#endif
    if constexpr (std::is_same_v<L, Lanes<LANES>>)
        return (V)reciprocal_of_one_more(exponential((__m512)(-x)));
#endif
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

}  // namespace
