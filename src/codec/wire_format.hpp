#pragma once
// The formats of numbers in a message, for kernels.

#include "strait/codec/wire.hpp"
#include "strait/core/bits16.hpp"

namespace strait::codec {

// One format on the wire: its element, the type of its numbers, and how an element is made and read.
struct Float32 {
  using Element = float;
  using Number = float;
  KOKKOS_INLINE_FUNCTION static float encode(float value) { return value; }
  KOKKOS_INLINE_FUNCTION static float decode(float value) { return value; }
};
struct Float64 {
  using Element = double;
  using Number = double;
  KOKKOS_INLINE_FUNCTION static double encode(double value) { return value; }
  KOKKOS_INLINE_FUNCTION static double decode(double value) { return value; }
};
struct Bfloat16 {
  using Element = std::uint16_t;
  using Number = float;
  KOKKOS_INLINE_FUNCTION static std::uint16_t encode(float value) { return to_bfloat16(value); }
  KOKKOS_INLINE_FUNCTION static float decode(std::uint16_t bits) { return from_bfloat16(bits); }
};

/// Elements in a message as a matrix.
template <class Element>
using PackedElements =
    Kokkos::View<Element**, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// The part of a message at `offset` as [rows, columns] of elements.
template <class Element>
PackedElements<Element> packed(const Vector<std::uint8_t>& bytes, std::int64_t offset, std::int64_t rows,
                               std::int64_t columns) {
  constexpr std::int64_t element = sizeof(Element);
  ensure(offset % element == 0, "numbers in a message are aligned");
  ensure(offset + rows * columns * element <= static_cast<std::int64_t>(bytes.extent(0)),
         "a message fits its buffer");
  return PackedElements<Element>(reinterpret_cast<Element*>(bytes.data() + offset), rows, columns);
}

/// Calls `use` with the format as a type.
template <class Use>
void with_format(Wire wire, Use use) {
  switch (wire) {
    case Wire::float32:
      return use(Float32{});
    case Wire::bfloat16:
      return use(Bfloat16{});
    case Wire::float64:
      return use(Float64{});
  }
}

}  // namespace strait::codec
