#include "strait/codec/codec.hpp"

#include "strait/codec/none.hpp"

namespace strait::codec {

template <class T>
std::unique_ptr<Codec<T>> codec_from_deck(Table table) {
  table.choice("name", {"none"}, "what crosses a boundary between stages: none sends every number");
  return std::make_unique<NoneCodec<T>>(wire_from_deck<T>(table));
}

template std::unique_ptr<Codec<float>> codec_from_deck(Table);
template std::unique_ptr<Codec<double>> codec_from_deck(Table);

}  // namespace strait::codec
