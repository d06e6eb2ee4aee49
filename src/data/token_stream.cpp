#include "strait/data/token_stream.hpp"

#include "strait/core/error.hpp"

#include <glob.h>

#include <algorithm>

namespace strait::data {

std::vector<std::string> expand_patterns(const std::vector<std::string>& patterns) {
  std::vector<std::string> paths;
  for (const std::string& pattern : patterns) {
    glob_t found{};
    const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
    // Our own sort: glob's follows the locale.
    std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    if (status != 0) fail(ExitCode::io, "{}: no such token file", pattern);
    std::sort(matches.begin(), matches.end());
    paths.insert(paths.end(), matches.begin(), matches.end());
  }
  return paths;
}

TokenStream::TokenStream(std::vector<std::unique_ptr<TokenSource>> sources, std::int32_t vocab)
    : sources_(std::move(sources)), vocab_(vocab) {
  ensure(!sources_.empty(), "TokenStream needs at least one source");
  for (const auto& source : sources_) {
    starts_.push_back(size_);
    size_ += source->size();
  }
  // A vocabulary that does not fit the data should show before hours of training.
  constexpr std::int64_t sample = 65536;
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const std::int64_t size = sources_[i]->size();
    tokens.resize(static_cast<std::size_t>(std::min(size, sample)));
    read(starts_[i], tokens);
    read(starts_[i] + std::max(size - sample, std::int64_t{0}), tokens);
  }
}

TokenStream TokenStream::open(const DataConfig& config, const std::vector<std::string>& patterns,
                              std::int32_t vocab) {
  const auto tokenizer = make_tokenizer(config.tokenizer);
  std::vector<std::unique_ptr<TokenSource>> sources;
  for (const std::string& path : expand_patterns(patterns)) {
    const Format format = config.format == Format::automatic ? detect_format(path) : config.format;
    // Before the text is encoded, which may take minutes.
    if (format == Format::text && tokenizer->vocabulary() > vocab) {
      fail(ExitCode::io, "{}: the tokenizer {} has {} ids, expected at most {} (model.vocab)", path,
           config.tokenizer, tokenizer->vocabulary(), vocab);
    }
    sources.push_back(open_source(path, format, *tokenizer));
  }
  return {std::move(sources), vocab};
}

std::string TokenStream::name() const {
  const std::string& first = sources_.front()->path();
  return sources_.size() == 1 ? first : fmt::format("{} and {} more", first, sources_.size() - 1);
}

void TokenStream::read(std::int64_t offset, std::span<std::int32_t> out) const {
  ensure(offset >= 0 && offset < size_, "TokenStream::read begins inside the stream");
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
  auto which = static_cast<std::size_t>(after - starts_.begin() - 1);
  std::int64_t within = offset - starts_[which];
  while (!out.empty()) {
    const TokenSource& source = *sources_[which];
    const auto left = static_cast<std::size_t>(source.size() - within);
    const auto part = out.first(std::min(out.size(), left));
    source.read(within, part);
    auto unknown = [this](std::int32_t token) { return token < 0 || token >= vocab_; };
    const auto bad = std::find_if(part.begin(), part.end(), unknown);
    if (bad != part.end()) {
      fail(ExitCode::io, "{}: token {} at position {}, expected 0 to {} (model.vocab = {})", source.path(),
           *bad, within + (bad - part.begin()), vocab_ - 1, vocab_);
    }
    out = out.subspan(part.size());
    which = (which + 1) % sources_.size();
    within = 0;
  }
}

}  // namespace strait::data
