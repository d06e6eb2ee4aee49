#include "strait/data/config.hpp"

#include <map>

namespace strait::data {

DataConfig DataConfig::from_deck(Table table) {
  using Patterns = std::vector<std::string>;
  const std::map<std::string, Format> formats = {{"auto", Format::automatic},
                                                 {"llmc", Format::llmc},
                                                 {"nanogpt", Format::nanogpt},
                                                 {"text", Format::text},
                                                 {"hdf5", Format::hdf5}};
  DataConfig data;
  data.train = table.required<Patterns>("train", "files or patterns, read one after the other");
  if (data.train.empty()) table.reject("train", "is empty, expected at least one file or pattern");
  data.validation = table.optional<Patterns>("validation", {}, "files or patterns that no step trains on");
  data.format = formats.at(table.choice("format", {"auto", "llmc", "nanogpt", "text", "hdf5"},
                                        "of the files; auto looks at each file's first bytes and name"));
  data.tokenizer = table.optional("tokenizer", "bytes",
                                  "of text: \"bytes\", a SentencePiece .model file or a tokenizer.json");
  if (data.tokenizer != "bytes" && !data.tokenizer.ends_with(".model") &&
      !data.tokenizer.ends_with(".json")) {
    table.reject("tokenizer",
                 fmt::format("is \"{}\", expected \"bytes\", a SentencePiece .model file or a tokenizer.json",
                             data.tokenizer));
  }
  const std::string order = table.choice("order", {"shuffled", "sequential"}, "of the sequences of an epoch");
  data.order = order == "shuffled" ? Order::shuffled : Order::sequential;
  return data;
}

}  // namespace strait::data
