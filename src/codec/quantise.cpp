#include "strait/codec/quantised.hpp"

#include "../kernels/rows.hpp"  // STRAIT_INDEPENDENT_ITERATIONS
#include "magnitude.hpp"
#include "wire_format.hpp"

#include <limits>

namespace strait::codec {
namespace {

/// Threads of a device that share a group of columns.
constexpr int lanes = host_accessible ? 1 : 32;

/// f(i) for each i in [0, count) by the threads that share a group; the calls are independent. On a host they
/// come in blocks, whose length makes the vectors: longer ones would leave short groups to a scalar loop.
template <int block, class F>
KOKKOS_INLINE_FUNCTION void for_each(const TeamMember& team, int count, const F& f) {
  if constexpr (host_accessible) {
    int begin = 0;
    for (; begin + block <= count; begin += block) {
      STRAIT_INDEPENDENT_ITERATIONS
      for (int i = 0; i < block; ++i) f(begin + i);
    }
    STRAIT_INDEPENDENT_ITERATIONS
    for (int i = begin; i < count; ++i) f(i);
  } else {
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, count), f);
  }
}

using Codes = PackedElements<std::uint8_t>;

/// Columns of the group that begins at column `begin`.
KOKKOS_INLINE_FUNCTION int width(int begin, int hidden, int group_size) {
  return hidden - begin < group_size ? hidden - begin : group_size;
}

/// The integers of so many bits, and how they lie in the bytes of a group.
template <int bits>
struct Code {
  static constexpr int per_byte = 8 / bits;
  static constexpr int block = 8 * bits;   ///< bytes of a usual group of 64 columns
  static constexpr bool even = bits == 2;  ///< levels lie between the integers
  static constexpr int highest = (1 << (bits - 1)) - 1;
  static constexpr int lowest = even ? -highest - 1 : -highest;
  static constexpr int zero = bits == 8 ? 0 : 1 << (bits - 1);  ///< integers that share a byte have no sign
  static constexpr int mask = (1 << bits) - 1;

  /// Bytes of `columns` columns of a token.
  KOKKOS_INLINE_FUNCTION static int bytes(int columns) { return (columns + per_byte - 1) / per_byte; }

  /// x / s rounded to nearest even and cut; of NaN, whose scale is not finite, any.
  template <class T>
  KOKKOS_INLINE_FUNCTION static int encode(T x, T inverse) {
    const T scaled = even ? x * inverse - T(0.5) : x * inverse;
    const int rounded = static_cast<int>(math::nearbyint(scaled == scaled ? scaled : T(0)));
    const int below = rounded < highest ? rounded : highest;
    return ((below > lowest ? below : lowest) + zero) & mask;
  }

  template <class T>
  KOKKOS_INLINE_FUNCTION static T decode(int code, T scale) {
    const int q = bits == 8 ? static_cast<std::int8_t>(code) : (code & mask) - zero;
    return (even ? static_cast<T>(q) + T(0.5) : static_cast<T>(q)) * scale;
  }
};

template <class T, class Format, int bits>
struct QuantiseRow {
  PackedElements<typename Format::Element> scales;
  Codes codes;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x;
  int group_size;

  using Number = typename Format::Number;
  static constexpr Number smallest = std::numeric_limits<Number>::min();

  KOKKOS_INLINE_FUNCTION static T largest_magnitude(const TeamMember& team, const T* from, int columns) {
    using Bits = MagnitudeBits<T>;
    Bits largest = 0;
    Kokkos::parallel_reduce(
        Kokkos::ThreadVectorRange(team, columns),
        [=](int i, Bits& value) {
          const Bits magnitude = magnitude_bits(from[i]);
          value = magnitude > value ? magnitude : value;
        },
        Kokkos::Max<Bits>(largest));
    return magnitude_of<T>(largest);
  }

  KOKKOS_INLINE_FUNCTION static T mean_magnitude(const TeamMember& team, const T* from, int columns) {
    const auto magnitude = [=](int i) { return static_cast<double>(from[i] < T(0) ? -from[i] : from[i]); };
    double sum = 0.0;
    if constexpr (host_accessible) {
      constexpr int parts = 16;  // independent sums, which vectorise
      double sums[parts] = {};
      int i = 0;
      for (; i + parts <= columns; i += parts) {
        for (int p = 0; p < parts; ++p) sums[p] += magnitude(i + p);
      }
      for (; i < columns; ++i) sums[0] += magnitude(i);
      for (int p = 0; p < parts; ++p) sum += sums[p];
    } else {
      Kokkos::parallel_reduce(
          Kokkos::ThreadVectorRange(team, columns), [=](int i, double& part) { part += magnitude(i); }, sum);
    }
    return static_cast<T>(sum / columns);
  }

  /// The scale of the columns `from`.
  KOKKOS_INLINE_FUNCTION void send_scale(const TeamMember& team, typename Format::Element& to, const T* from,
                                         int columns) const {
    Number scale;
    if constexpr (Code<bits>::even) {
      scale = static_cast<Number>(T(even_levels_scale) * mean_magnitude(team, from, columns));
    } else {
      scale = static_cast<Number>(largest_magnitude(team, from, columns) / T(Code<bits>::highest));
    }
    Kokkos::single(Kokkos::PerThread(team),
                   [&] { to = Format::encode(scale < smallest ? Number(0) : scale); });
  }

  KOKKOS_INLINE_FUNCTION void quantise_group(const TeamMember& team, std::uint8_t* to, const T* from,
                                             int columns, T inverse) const {
    using C = Code<bits>;
    const int bytes = C::bytes(columns), full = columns - (C::per_byte - 1) * bytes;
    for_each<C::block>(team, full, [=](int i) {
      const auto code = [=](int p) { return C::encode(from[p * bytes + i], inverse) << p * bits; };
      int byte = code(0);  // written out: compilers do not turn vectors inside out for a loop
      if constexpr (C::per_byte > 1) byte |= code(1);
      if constexpr (C::per_byte > 2) byte |= code(2) | code(3);
      to[i] = static_cast<std::uint8_t>(byte);
    });
    Kokkos::single(Kokkos::PerThread(team), [&] {
      for (int i = full > 0 ? full : 0; i < bytes; ++i) {
        int byte = 0;
        for (int p = 0; p < C::per_byte; ++p) {
          const int column = p * bytes + i;
          byte |= (column < columns ? C::encode(from[column], inverse) : C::zero) << p * bits;
        }
        to[i] = static_cast<std::uint8_t>(byte);
      }
    });
  }

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    const int hidden = static_cast<int>(x.extent(1));
    const int groups = static_cast<int>(scales.extent(1));
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, groups), [&](int group) {
      const int begin = group * group_size;
      send_scale(team, scales(row, group), &x(row, begin), width(begin, hidden, group_size));
    });
    // Scales first: the groups' maxima and quotients overlap, and what is read back is what the receiver has.
    team.team_barrier();
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, groups), [&](int group) {
      const int begin = group * group_size;
      const T scale = static_cast<T>(Format::decode(scales(row, group)));
      const T inverse = scale > T(0) ? T(1) / scale : T(0);
      quantise_group(team, &codes(row, Code<bits>::bytes(begin)), &x(row, begin),
                     width(begin, hidden, group_size), inverse);
    });
  }
};

template <class T, class Format, int bits>
struct DequantiseRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> x;
  PackedElements<typename Format::Element> scales;
  Codes codes;
  int group_size;

  KOKKOS_INLINE_FUNCTION void dequantise_group(const TeamMember& team, T* to, const std::uint8_t* from,
                                               int columns, T scale) const {
    using C = Code<bits>;
    const int bytes = C::bytes(columns), full = columns - (C::per_byte - 1) * bytes;
    for_each<C::block>(team, full, [=](int i) {
      const int byte = from[i];
      const auto put = [=](int p) { to[p * bytes + i] = C::decode(byte >> p * bits, scale); };
      put(0);
      if constexpr (C::per_byte > 1) put(1);
      if constexpr (C::per_byte > 2) put(2), put(3);
    });
    Kokkos::single(Kokkos::PerThread(team), [&] {
      for (int i = full > 0 ? full : 0; i < bytes; ++i) {
        for (int p = 0; p * bytes + i < columns; ++p) {
          to[p * bytes + i] = C::decode(from[i] >> p * bits, scale);
        }
      }
    });
  }

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    const int hidden = static_cast<int>(x.extent(1));
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(scales.extent(1))), [&](int group) {
      const int begin = group * group_size;
      const T scale = static_cast<T>(Format::decode(scales(row, group)));
      dequantise_group(team, &x(row, begin), &codes(row, Code<bits>::bytes(begin)),
                       width(begin, hidden, group_size), scale);
    });
  }
};

std::int64_t groups(const QuantisedOptions& options, std::int64_t hidden) {
  return (hidden + options.group_size - 1) / options.group_size;
}

std::int64_t code_bytes(const QuantisedOptions& options, std::int64_t hidden) {
  return (hidden * options.bits + 7) / 8;
}

/// Calls `use` with the format of the scales and the number of bits as types.
template <class Use>
void with_layout(const QuantisedOptions& options, Use use) {
  ensure((options.bits == 8 || options.bits == 4 || options.bits == 2) &&
             options.group_size % (8 / options.bits) == 0,
         "integers have 8, 4 or 2 bits, and groups fill their bytes");
  with_format(options.wire, [&](auto format) {
    if (options.bits == 8) {
      use(format, std::integral_constant<int, 8>{});
    } else if (options.bits == 4) {
      use(format, std::integral_constant<int, 4>{});
    } else {
      use(format, std::integral_constant<int, 2>{});
    }
  });
}

}  // namespace

std::int64_t quantised_bytes(const QuantisedOptions& options, std::int64_t tokens, int hidden) {
  return tokens * (groups(options, hidden) * wire_bytes(options.wire) + code_bytes(options, hidden));
}

template <class T>
std::int64_t quantise(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, ConstMatrix<T> x,
                      const QuantisedOptions& options) {
  const std::int64_t tokens = x.extent(0), hidden = x.extent(1), scales = groups(options, hidden);
  with_layout(options, [&](auto format, auto bits) {
    using Format = decltype(format);
    Kokkos::parallel_for("strait::codec::quantise",
                         TeamPolicy(exec, static_cast<int>(tokens), Kokkos::AUTO, lanes),
                         QuantiseRow<T, Format, decltype(bits)::value>{
                             packed<typename Format::Element>(bytes, 0, tokens, scales),
                             packed<std::uint8_t>(bytes, tokens * scales * wire_bytes(options.wire), tokens,
                                                  code_bytes(options, hidden)),
                             x, options.group_size});
  });
  return quantised_bytes(options, tokens, static_cast<int>(hidden));
}

template <class T>
void dequantise(const ExecutionSpace& exec, const Matrix<T>& x, const Vector<std::uint8_t>& bytes,
                const QuantisedOptions& options) {
  const std::int64_t tokens = x.extent(0), hidden = x.extent(1), scales = groups(options, hidden);
  with_layout(options, [&](auto format, auto bits) {
    using Format = decltype(format);
    Kokkos::parallel_for("strait::codec::dequantise",
                         TeamPolicy(exec, static_cast<int>(tokens), Kokkos::AUTO, lanes),
                         DequantiseRow<T, Format, decltype(bits)::value>{
                             x, packed<typename Format::Element>(bytes, 0, tokens, scales),
                             packed<std::uint8_t>(bytes, tokens * scales * wire_bytes(options.wire), tokens,
                                                  code_bytes(options, hidden)),
                             options.group_size});
  });
}

#define STRAIT_INSTANTIATE(T)                                                                           \
  template std::int64_t quantise<T>(const ExecutionSpace&, const Vector<std::uint8_t>&, ConstMatrix<T>, \
                                    const QuantisedOptions&);                                           \
  template void dequantise<T>(const ExecutionSpace&, const Matrix<T>&, const Vector<std::uint8_t>&,     \
                              const QuantisedOptions&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
