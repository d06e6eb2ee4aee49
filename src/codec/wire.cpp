#include "strait/codec/wire.hpp"

#include "wire_format.hpp"

namespace strait::codec {
namespace {

template <class T, class Format>
struct PackRow {
  PackedElements<typename Format::Element> out;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    typename Format::Element* to = &out(row, 0);
    const T* from = &x(row, 0);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                         [=](int i) { to[i] = Format::encode(from[i]); });
  }
};

template <class T, class Format>
struct UnpackRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> x;
  PackedElements<typename Format::Element> in;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    T* to = &x(row, 0);
    const typename Format::Element* from = &in(row, 0);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                         [=](int i) { to[i] = static_cast<T>(Format::decode(from[i])); });
  }
};

/// The part of a message at `offset` as `count` ids.
template <class Id>
auto packed_ids(const Vector<std::uint8_t>& bytes, std::int64_t offset, std::int64_t count) {
  constexpr std::int64_t element = sizeof(Id);
  ensure(offset % element == 0, "ids in a message are aligned");
  ensure(offset + count * element <= static_cast<std::int64_t>(bytes.extent(0)), "a message fits its buffer");
  return Kokkos::View<Id*, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(
      reinterpret_cast<Id*>(bytes.data() + offset), count);
}

template <class Id>
void write_ids(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
               const TokenIds& ids) {
  const auto out = packed_ids<Id>(bytes, offset, ids.extent(0));
  Kokkos::parallel_for(
      "strait::codec::pack_ids", RangePolicy(exec, 0, ids.extent(0)),
      KOKKOS_LAMBDA(std::int64_t t) { out(t) = static_cast<Id>(ids(t)); });
}

template <class Id>
void read_ids(const ExecutionSpace& exec, const MutableTokenIds& ids, const Vector<std::uint8_t>& bytes,
              std::int64_t offset) {
  const auto in = packed_ids<Id>(bytes, offset, ids.extent(0));
  Kokkos::parallel_for(
      "strait::codec::unpack_ids", RangePolicy(exec, 0, ids.extent(0)),
      KOKKOS_LAMBDA(std::int64_t t) { ids(t) = static_cast<std::int32_t>(in(t)); });
}

}  // namespace

std::int64_t wire_bytes(Wire wire) {
  switch (wire) {
    case Wire::float32:
      return 4;
    case Wire::bfloat16:
      return 2;
    case Wire::float64:
      return 8;
  }
  return 0;
}

template <class T>
Wire wire_from_deck(Table table, Wire default_wire) {
  constexpr auto help =
      "format of activations and gradients on the wire; float64 in double precision only; of codec none with "
      "training.precision = \"bfloat16\" the default is \"bfloat16\", which is exact";
  std::string name;
  if (std::is_same_v<T, double>) {
    name = table.choice("wire", {"float32", "bfloat16", "float64"}, help);
  } else if (default_wire == Wire::bfloat16) {
    name = table.choice("wire", {"bfloat16", "float32"}, help);
  } else {
    name = table.choice("wire", {"float32", "bfloat16"}, help);
  }
  if (name == "float32") return Wire::float32;
  return name == "bfloat16" ? Wire::bfloat16 : Wire::float64;
}

template <class T>
std::int64_t pack(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                  ConstMatrix<T> x, Wire wire) {
  const std::int64_t rows = x.extent(0);
  const std::int64_t columns = x.extent(1);
  with_format(wire, [&](auto format) {
    using Format = decltype(format);
    Kokkos::parallel_for(
        "strait::codec::pack", TeamPolicy(exec, static_cast<int>(rows), Kokkos::AUTO),
        PackRow<T, Format>{packed<typename Format::Element>(bytes, offset, rows, columns), x});
  });
  return offset + rows * columns * wire_bytes(wire);
}

template <class T>
std::int64_t unpack(const ExecutionSpace& exec, const Matrix<T>& x, const Vector<std::uint8_t>& bytes,
                    std::int64_t offset, Wire wire) {
  const std::int64_t rows = x.extent(0);
  const std::int64_t columns = x.extent(1);
  with_format(wire, [&](auto format) {
    using Format = decltype(format);
    Kokkos::parallel_for(
        "strait::codec::unpack", TeamPolicy(exec, static_cast<int>(rows), Kokkos::AUTO),
        UnpackRow<T, Format>{x, packed<typename Format::Element>(bytes, offset, rows, columns)});
  });
  return offset + rows * columns * wire_bytes(wire);
}

std::int64_t id_bytes(int vocab) { return vocab <= 65536 ? 2 : 4; }

std::int64_t pack_ids(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                      const TokenIds& ids, int vocab) {
  if (id_bytes(vocab) == 2) {
    write_ids<std::uint16_t>(exec, bytes, offset, ids);
  } else {
    write_ids<std::uint32_t>(exec, bytes, offset, ids);
  }
  return offset + static_cast<std::int64_t>(ids.extent(0)) * id_bytes(vocab);
}

std::int64_t unpack_ids(const ExecutionSpace& exec, const MutableTokenIds& ids,
                        const Vector<std::uint8_t>& bytes, std::int64_t offset, int vocab) {
  if (id_bytes(vocab) == 2) {
    read_ids<std::uint16_t>(exec, ids, bytes, offset);
  } else {
    read_ids<std::uint32_t>(exec, ids, bytes, offset);
  }
  return offset + static_cast<std::int64_t>(ids.extent(0)) * id_bytes(vocab);
}

#define STRAIT_INSTANTIATE(T)                                                                           \
  template Wire wire_from_deck<T>(Table, Wire);                                                         \
  template std::int64_t pack<T>(const ExecutionSpace&, const Vector<std::uint8_t>&, std::int64_t,       \
                                ConstMatrix<T>, Wire);                                                  \
  template std::int64_t unpack<T>(const ExecutionSpace&, const Matrix<T>&, const Vector<std::uint8_t>&, \
                                  std::int64_t, Wire);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
