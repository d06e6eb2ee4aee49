#include "strait/codec/quantised.hpp"

#include "../kernels/rows.hpp"  // STRAIT_INDEPENDENT_ITERATIONS
#include "magnitude.hpp"
#include "wire_format.hpp"

#include <limits>

namespace strait::codec {
namespace {

/// Threads of a device that share a group of columns.
constexpr int lanes = host_accessible ? 1 : 32;

/// f(i) for each i in [0, count) by the threads that share a group; the calls are independent.
template <class F>
KOKKOS_INLINE_FUNCTION void for_each(const TeamMember& team, int count, const F& f) {
  if constexpr (host_accessible) {
    STRAIT_INDEPENDENT_ITERATIONS
    for (int i = 0; i < count; ++i) f(i);
  } else {
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, count), f);
  }
}

using Codes = PackedElements<std::uint8_t>;

/// Columns of the group that begins at column `begin`.
KOKKOS_INLINE_FUNCTION int width(int begin, int hidden, int group_size) {
  return hidden - begin < group_size ? hidden - begin : group_size;
}

/// Integers of four bits are stored without sign, as q + zero.
constexpr int zero = 8;

/// How integers of so many bits lie in the bytes of a group.
template <int bits>
struct Code {
  static constexpr int levels = (1 << (bits - 1)) - 1;

  /// Bytes of `columns` columns of a token.
  KOKKOS_INLINE_FUNCTION static int bytes(int columns) { return (columns * bits + 7) / 8; }
};

/// `value` rounded to nearest even and cut to -limit..limit; 0 for NaN, whose scale is not finite.
template <class T>
KOKKOS_INLINE_FUNCTION int nearest(T value, int limit) {
  const int rounded = static_cast<int>(math::nearbyint(value == value ? value : T(0)));
  const int below = rounded < limit ? rounded : limit;
  return below > -limit ? below : -limit;
}

template <class T, class Format, int bits>
struct QuantiseRow {
  PackedElements<typename Format::Element> scales;
  Codes codes;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x;
  int group_size;

  using Number = typename Format::Number;
  static constexpr Number smallest = std::numeric_limits<Number>::min();

  /// The scale of the columns `from`.
  KOKKOS_INLINE_FUNCTION void send_scale(const TeamMember& team, typename Format::Element& to, const T* from,
                                         int columns) const {
    using Bits = MagnitudeBits<T>;
    Bits largest = 0;
    Kokkos::parallel_reduce(
        Kokkos::ThreadVectorRange(team, columns),
        [=](int i, Bits& value) {
          const Bits magnitude = magnitude_bits(from[i]);
          value = magnitude > value ? magnitude : value;
        },
        Kokkos::Max<Bits>(largest));
    const auto scale = static_cast<Number>(magnitude_of<T>(largest) / static_cast<T>(Code<bits>::levels));
    Kokkos::single(Kokkos::PerThread(team),
                   [&] { to = Format::encode(scale < smallest ? Number(0) : scale); });
  }

  KOKKOS_INLINE_FUNCTION void quantise_group(const TeamMember& team, std::uint8_t* to, const T* from,
                                             int columns, T inverse) const {
    constexpr int limit = Code<bits>::levels;
    if constexpr (bits == 8) {
      for_each(team, columns,
               [=](int i) { to[i] = static_cast<std::uint8_t>(nearest(from[i] * inverse, limit)); });
    } else {
      const int half = columns / 2;
      const T* const upper = from + (columns - half);
      for_each(team, half, [=](int i) {
        const int low = nearest(from[i] * inverse, limit) + zero;
        const int high = nearest(upper[i] * inverse, limit) + zero;
        to[i] = static_cast<std::uint8_t>(low | high << 4);
      });
      if (columns % 2 == 0) return;
      Kokkos::single(Kokkos::PerThread(team), [&] {
        to[half] = static_cast<std::uint8_t>((nearest(from[half] * inverse, limit) + zero) | zero << 4);
      });
    }
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
    if constexpr (bits == 8) {
      Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, columns),
                           [=](int i) { to[i] = static_cast<T>(static_cast<std::int8_t>(from[i])) * scale; });
    } else {
      const int half = columns / 2;
      T* const upper = to + (columns - half);
      for_each(team, half, [=](int i) {
        const int byte = from[i];
        to[i] = static_cast<T>((byte & 15) - zero) * scale;
        upper[i] = static_cast<T>((byte >> 4) - zero) * scale;
      });
      if (columns % 2 == 0) return;
      Kokkos::single(Kokkos::PerThread(team),
                     [&] { to[half] = static_cast<T>((from[half] & 15) - zero) * scale; });
    }
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
  ensure(options.bits == 8 || (options.bits == 4 && options.group_size % 2 == 0),
         "integers have 8 bits, or 4 in groups that fill their bytes");
  with_format(options.wire, [&](auto format) {
    if (options.bits == 8) {
      use(format, std::integral_constant<int, 8>{});
    } else {
      use(format, std::integral_constant<int, 4>{});
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
