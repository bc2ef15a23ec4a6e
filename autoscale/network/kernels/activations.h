// Activations and their slopes, on registers of any number of channels.

#pragma once

#include "vectors.h"

namespace {

enum Activation { NONE, RELU, RELU6, SILU, HSWISH };

// `x`, but not less than `low`, or not more than `high`. Not a number stays so: instructions for this
// then give their second operand.
template <typename V>
ALWAYS_INLINE V at_least(V x, float low) {
#ifdef __AVX512F__
    if constexpr (sizeof(V) == sizeof(__m512))
        return (V)_mm512_max_ps(_mm512_set1_ps(low), (__m512)x);
#endif
#ifdef __AVX2__
    if constexpr (sizeof(V) == sizeof(__m256))
        return (V)_mm256_max_ps(_mm256_set1_ps(low), (__m256)x);
#endif
    return x < low ? V{} + low : x;
}

template <typename V>
ALWAYS_INLINE V at_most(V x, float high) {
#ifdef __AVX512F__
    if constexpr (sizeof(V) == sizeof(__m512))
        return (V)_mm512_min_ps(_mm512_set1_ps(high), (__m512)x);
#endif
#ifdef __AVX2__
    if constexpr (sizeof(V) == sizeof(__m256))
        return (V)_mm256_min_ps(_mm256_set1_ps(high), (__m256)x);
#endif
    return x > high ? V{} + high : x;
}

template <typename V>
ALWAYS_INLINE V clamp(V x, float low, float high) {
    return at_most(at_least(x, low), high);
}

constexpr float PER_LOG2 = -1.44269504088896341f;  // 1 / ln(1/2): exp(-x) is 2 to this times x

// Of 2^r on [-1/2, 1/2], by falling powers; wrong by 1e-7 of itself.
constexpr float POWERS[] = {1.327647199e-3f, 9.675541334e-3f, 5.550713273e-2f,
                            2.402211972e-1f, 6.931469671e-1f, 1.000000072f};

// exp(-x), where that lies between 2^-126 and 2^126, else these. Not a number stays so.
template <typename L, typename V = typename L::floats>
ALWAYS_INLINE V inverse_exponential(L, V x) {
    using ints = typename L::ints;
    constexpr float WHOLE = 12582912.0f;  // 1.5 * 2^23: a sum with it is rounded to a whole number
    const V t = clamp<V>(x * PER_LOG2, -126.0f, 126.0f);
    const V rounded = t + WHOLE, r = t - (rounded - WHOLE);
    V p = V{} + POWERS[0];
    for (int i = 1; i < 6; ++i) p = p * r + POWERS[i];
    return reinterpret_cast<V>(reinterpret_cast<ints>(p) + (reinterpret_cast<ints>(rounded) << 23));
}

#ifdef __AVX512F__
// The same on 16 channels, in fewer instructions, and what becomes of it.
ALWAYS_INLINE __m512 inverse_exponential(__m512 x) {
    const __m512 t = at_most(_mm512_mul_ps(x, _mm512_set1_ps(PER_LOG2)), 126.0f);
    const __m512 n = _mm512_roundscale_ps(t, 8), r = _mm512_sub_ps(t, n);
    __m512 p = _mm512_set1_ps(POWERS[0]);
    for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(POWERS[i]));
    return _mm512_scalef_ps(p, n);
}

ALWAYS_INLINE __m512 reciprocal_of_one_more(__m512 e) {
    const __m512 x = _mm512_add_ps(e, _mm512_set1_ps(1.0f)), r = _mm512_rcp14_ps(x);
    return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(2.0f)));  // a step of Newton's
}

#ifdef BFLOAT16_MAPS
// With errors of 1e-4 of itself: a bfloat16 is 2e-3 off.
ALWAYS_INLINE __m512 roughly_sigmoid(__m512 x) {
    const __m512 t = at_least(_mm512_mul_ps(x, _mm512_set1_ps(PER_LOG2)), -125.0f);
    const __m512 n = _mm512_roundscale_ps(t, 8), r = _mm512_sub_ps(t, n);
    // 2^r on [-1/2, 1/2].
    __m512 p = _mm512_set1_ps(5.5171745e-2f);
    for (const float next : {2.4261086e-1f, 6.9326098e-1f, 9.9992803e-1f})
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(next));
    return _mm512_rcp14_ps(_mm512_add_ps(_mm512_scalef_ps(p, n), _mm512_set1_ps(1.0f)));
}
#endif
#endif

// 1 / (1 + exp(-x)), but for 1e-7 and, where that is small, for 2e-6 of itself.
template <typename L, typename V = typename L::floats>
ALWAYS_INLINE V sigmoid(L lanes, V x) {
#ifdef __AVX512F__
    if constexpr (std::is_same_v<L, Lanes<LANES>>) {
#ifdef BFLOAT16_MAPS
        return (V)roughly_sigmoid((__m512)x);
#else
        return (V)reciprocal_of_one_more(inverse_exponential((__m512)x));
#endif
    }
#endif
    return 1.0f / (1.0f + inverse_exponential(lanes, x));
}

template <Activation A, typename L, typename V = typename L::floats>
ALWAYS_INLINE V activate(L lanes, V x) {
    if constexpr (A == RELU) return at_least<V>(x, 0.0f);
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
