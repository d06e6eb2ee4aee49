#pragma once
// Several token files as one endless stream.

#include "strait/data/token_source.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strait::data {

/// The files that the patterns match (glob(7)), sorted by name within each pattern. A pattern that matches
/// nothing is an Error(ExitCode::io) that names it.
std::vector<std::string> expand_patterns(const std::vector<std::string>& patterns);

class TokenStream {
 public:
  /// `vocab`: ids that the model knows. Both ends of each file now, and every token when it is read, are
  /// checked against it; one beyond it is an Error(ExitCode::io) that names file and position.
  TokenStream(std::vector<std::unique_ptr<TokenSource>> sources, std::int32_t vocab);

  /// The files of `config.train` or `config.validation`, concatenated.
  static TokenStream open(const DataConfig& config, const std::vector<std::string>& patterns,
                          std::int32_t vocab);

  /// Tokens of all files.
  std::int64_t size() const { return size_; }
  /// The files, for messages: "a.bin" or "a.bin and 3 more".
  std::string name() const;

  /// Tokens from `offset` in [0, size()); goes on at the start after the end.
  void read(std::int64_t offset, std::span<std::int32_t> out) const;

 private:
  std::vector<std::unique_ptr<TokenSource>> sources_;
  std::vector<std::int64_t> starts_;  ///< of each source in the stream
  std::int64_t size_ = 0;
  std::int32_t vocab_ = 0;
};

}  // namespace strait::data
