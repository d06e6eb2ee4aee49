#include "strait/app/text_sample.hpp"

#include "strait/core/pinned.hpp"
#include "strait/core/random.hpp"
#include "strait/data/tokenizer.hpp"

#include <algorithm>
#include <cmath>

namespace strait::app {

namespace {

constexpr std::uint64_t sample_stream = 0x73616d706c65;  // "sample"

/// Draws from softmax(logits / temperature) by inversion; temperature 0 takes the likeliest.
std::int32_t draw(std::span<const double> logits, double temperature, double uniform) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0.0) return static_cast<std::int32_t>(likeliest - logits.begin());
  double total = 0.0;
  for (const double logit : logits) total += std::exp((logit - *likeliest) / temperature);
  double rest = uniform * total;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    rest -= std::exp((logits[token] - *likeliest) / temperature);
    if (rest < 0.0) return static_cast<std::int32_t>(token);
  }
  return static_cast<std::int32_t>(logits.size() - 1);
}

}  // namespace

template <class T>
std::string sample_text(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline,
                        const Settings& settings) {
  const auto tokenizer = data::make_tokenizer(settings.data.tokenizer);
  const std::int32_t end = tokenizer->end_of_document();
  std::vector<std::int32_t> tokens = tokenizer->encode(settings.output.sample_prompt);
  tokens.insert(tokens.begin(), end);

  const Philox random(settings.run.seed, sample_stream);
  Uploads<std::int32_t> uploads;
  const std::size_t context = static_cast<std::size_t>(settings.model.context);
  for (int i = 0; i < settings.output.sample_tokens; ++i) {
    // The newest tokens at the front of the first sequence; what follows them is never looked at.
    std::vector<std::int32_t> window(tokens.end() - std::min(tokens.size(), context), tokens.end());
    const auto position = static_cast<std::int64_t>(window.size()) - 1;
    window.resize(static_cast<std::size_t>(settings.training.micro_batch) * context, 0);
    const auto source = [&](const pipeline::BatchRequest& request) {
      if (request.ids.extent(0) > 0) uploads.upload(exec, request.ids, window);
    };
    const auto choose = [&](std::span<const double> logits) {
      return draw(logits, settings.output.sample_temperature, random.uniform(i));
    };
    const std::int32_t token = pipeline.next_token(source, position, choose);
    if (token == end) break;
    tokens.push_back(token);
  }
  return tokenizer->decode(tokens);
}

template std::string sample_text<float>(const ExecutionSpace&, pipeline::Pipeline<float>&, const Settings&);
template std::string sample_text<double>(const ExecutionSpace&, pipeline::Pipeline<double>&, const Settings&);

}  // namespace strait::app
