#pragma once
// Every codec, as [codec] of a deck, for models of width 16.

#include "strait/codec/codec.hpp"

#include <memory>
#include <string>
#include <vector>

namespace strait::test {

inline const char* const every_codec[] = {"name = 'none'",
                                          "name = 'mapl'\nrank = 6\nprojector_interval = 2",
                                          "name = 'ssn'\nrank = 6\ngrassmann_interval = 2",
                                          "name = 'fixed'\nrank = 6",
                                          "name = 'unconstrained'\nrank = 6\nprojector_interval = 1",
                                          "name = 'int8'\ngroup_size = 6",
                                          "name = 'int4'\ngroup_size = 6",
                                          "name = 'int2'\ngroup_size = 8",
                                          "name = 'topk'\nk = 3",
                                          "name = 'mapl'\nrank = 6\nprojector_interval = 2\nrvq.groups = 2\n"
                                          "rvq.rounds = 2\nrvq.codewords = 7\nrvq.backward = 'rvq'"};

/// Those that asynchronous schedules and replicas both take.
inline const std::vector<std::string> asynchronous_codecs = {
    "name = 'mapl'\nrank = 6\nprojector_interval = 1",
    "name = 'mapl'\nrank = 6\nprojector_interval = 3\nanchors = 'full'",
    "name = 'mapl'\nrank = 6\nprojector_interval = 2\nanchors = 'static'",
    "name = 'mapl'\nrank = 6\nprojector_interval = 2\nanchors = 'none'",
    "name = 'fixed'\nrank = 6",
    "name = 'unconstrained'\nrank = 6\nprojector_interval = 1",
    "name = 'int8'\ngroup_size = 6",
    "name = 'int4'\ngroup_size = 6",
    "name = 'topk'\nk = 3",
    "name = 'ssn'\nrank = 6"};

template <class T>
std::unique_ptr<codec::Codec<T>> codec_of(const std::string& text, int hidden = 16) {
  const Deck deck = Deck::from_string("[codec]\n" + text, "test");
  return codec::codec_from_deck<T>(deck.table("codec"), hidden);
}

}  // namespace strait::test
