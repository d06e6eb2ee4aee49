#pragma once
// How numbers lie in a message: packed row by row, in the byte order of the machine.

#include "strait/codec/codec.hpp"

namespace strait::codec {

/// Formats on the wire. bfloat16 rounds to nearest even.
enum class Wire { float32, bfloat16, float64 };

/// Bytes per number.
std::int64_t wire_bytes(Wire wire);

/// The format that keeps every bit of T.
template <class T>
constexpr Wire exact_wire = std::is_same_v<T, double> ? Wire::float64 : Wire::float32;

/// Reads the key `wire`; "float64" exists for double precision alone.
template <class T>
Wire wire_from_deck(Table table, Wire default_wire = Wire::float32);

/// Writes x [rows, columns] at `offset` (a multiple of wire_bytes) of `bytes`; returns the offset behind it.
template <class T>
std::int64_t pack(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                  ConstMatrix<T> x, Wire wire);

/// Reads what `pack` wrote into x [rows, columns]; returns the offset behind it.
template <class T>
std::int64_t unpack(const ExecutionSpace& exec, const Matrix<T>& x, const Vector<std::uint8_t>& bytes,
                    std::int64_t offset, Wire wire);

/// Bytes of a token id on the wire: 2 where the vocabulary allows, else 4.
std::int64_t id_bytes(int vocab);

/// Writes ids [tokens] at `offset` (a multiple of id_bytes) of `bytes`; returns the offset behind them.
std::int64_t pack_ids(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                      const TokenIds& ids, int vocab);

/// Reads what `pack_ids` wrote; returns the offset behind it.
std::int64_t unpack_ids(const ExecutionSpace& exec, const MutableTokenIds& ids,
                        const Vector<std::uint8_t>& bytes, std::int64_t offset, int vocab);

}  // namespace strait::codec
