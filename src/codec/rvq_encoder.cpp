#include "rvq_encoder.hpp"

#include "strait/core/scratch.hpp"
#include "strait/io/tensor.hpp"
#include "strait/kernels/code_indices.hpp"
#include "strait/kernels/elementwise.hpp"

#include <cmath>
#include <utility>

namespace strait::codec {
namespace {

constexpr double smoothing = 1e-5;

/// Perplexity exp(-sum p log p) of the use of codewords, its mean over `groups` groups of `counts`, and how
/// many codewords are dead.
template <class HostCounts>
std::pair<double, double> usage(const HostCounts& counts, std::int64_t groups, double share) {
  const std::int64_t codewords = static_cast<std::int64_t>(counts.extent(0)) / groups;
  double perplexity = 0.0, dead = 0.0;
  for (std::int64_t group = 0; group < groups; ++group) {
    double total = 0.0, entropy = 0.0;
    for (std::int64_t k = 0; k < codewords; ++k) total += counts(group * codewords + k);
    for (std::int64_t k = 0; k < codewords; ++k) {
      const double p = total > 0.0 ? counts(group * codewords + k) / total : 0.0;
      if (p > 0.0) entropy -= p * std::log(p);
      if (p * static_cast<double>(codewords) < share) ++dead;
    }
    perplexity += std::exp(entropy) / static_cast<double>(groups);
  }
  return {perplexity, dead};
}

}  // namespace

template <class T>
RvqEncoder<T>::RvqEncoder(const RvqChannel& channel)
    : channel_(channel),
      published_(channel),
      master_("strait::codec::codewords_master", channel.all_codewords(), channel.codebook.width),
      average_(channel.all_codewords(), channel.codebook.width),
      seen_(channel.all_codewords(), channel.codebook.width),
      residuals_(kernels::make_tiles<T>(channel.tokens, channel.codebook.columns())),
      indices_("strait::codec::code_indices", channel.options.rounds * channel.codebook.groups,
               channel.tokens) {}

template <class T>
kernels::CodeIndices RvqEncoder<T>::indices_of(int round) const {
  return rows(indices_, std::int64_t{round} * channel_.codebook.groups,
              std::int64_t{round + 1} * channel_.codebook.groups);
}

template <class T>
kernels::CodewordStatistics RvqEncoder<T>::part(const kernels::CodewordStatistics& statistics,
                                                int round) const {
  return statistics.part(channel_.first_codeword(round), channel_.first_codeword(round + 1));
}

/// The master's codewords of one round whose turn it is, before they are published.
template <class T>
void RvqEncoder<T>::renew(const ExecutionSpace& exec, const Context& context, const RvqMessage& message,
                          int round) {
  using Purpose = RvqChannel::Purpose;
  const Matrix<T> own = rows(master_, channel_.first_codeword(round), channel_.first_codeword(round + 1));
  if (message.starts) {
    kernels::start_codewords<T>(exec, own, part(average_, round), indices_of(round), residuals_,
                                channel_.codebook, channel_.random(Purpose::start, round));
  } else if (round < message.rounds && channel_.options.dead > 0.0) {
    const std::uint64_t index = context.micro_batch * channel_.options.rounds + round;
    kernels::replace_dead_codewords<T>(exec, own, part(average_, round), part(seen_, round), residuals_,
                                       channel_.tokens, channel_.codebook, message.turn,
                                       channel_.options.dead, channel_.random(Purpose::replacement, index));
  }
}

template <class T>
RvqMessage RvqEncoder<T>::encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> z,
                                 Message& out, const Matrix<T>& left) {
  const RvqMessage message = channel_.message(context, published_.started(), published_.next());
  rounds_ = message.rounds;
  kernels::to_tiles<T>(exec, residuals_, z);
  // Round by round: a dead codeword's heir is what the rounds before it leave with what they just published.
  for (int round = 0; round < channel_.options.rounds; ++round) {
    if (context.training) {
      renew(exec, context, message, round);
      published_.write(exec, out.bytes, message, round,
                       rows(master_, channel_.first_codeword(round), channel_.first_codeword(round + 1)));
      published_.read(exec, out.bytes, message, round);
    }
    if (round >= message.rounds) continue;
    kernels::nearest_codewords<T>(exec, indices_of(round), residuals_, published_.round(round),
                                  channel_.codebook, kernels::Residual::subtract);
    if (context.training) {
      kernels::add_statistics<T>(exec, part(seen_, round), indices_of(round), residuals_,
                                 published_.round(round), channel_.codebook, kernels::Residual::subtract);
    }
    if (left.size() > 0) kernels::from_tiles<T>(exec, left, residuals_, round == 0 ? 0.0 : 1.0);
  }
  kernels::pack_indices(exec, out.bytes, message.indices,
                        rows(indices_, 0, std::int64_t{message.rounds} * channel_.codebook.groups),
                        channel_.codebook);
  if (context.training) published_.advance(exec, out.bytes, message);
  if (message.checksum >= 0) {
    const auto sum = scratch<std::uint64_t>("strait::codec::codewords_sum", 1);
    published_.checksum(exec, sum);
    write_checksum(exec, out.bytes, message.checksum, sum);
  }
  out.size = message.size;
  out.sync_size = message.sync_size;
  return message;
}

template <class T>
void RvqEncoder<T>::update(const ExecutionSpace& exec) {
  kernels::update_codewords<T>(exec, master_, average_, seen_, channel_.codebook, channel_.decay, smoothing);
  seen_.clear(exec);
}

template <class T>
std::vector<Diagnostic> RvqEncoder<T>::diagnostics(const RvqOptions& options) {
  std::vector<Diagnostic> out = {
      {"code_perplexity", "1", "perplexity of the codewords' use, mean over groups and rounds"},
      {"dead_codewords", "1", "codewords that too few tokens use, all groups and rounds"}};
  for (int round = 0; round < options.rounds; ++round) {
    out.push_back({fmt::format("quantisation_error_{}", round), "1",
                   fmt::format("|Z - Q| / |Z| with the codewords of rounds 0 to {}", round)});
  }
  return out;
}

template <class T>
std::vector<double> RvqEncoder<T>::diagnose(const ExecutionSpace& exec) const {
  const auto [perplexity, dead] =
      usage(to_host(exec, average_.counts), std::int64_t{channel_.options.rounds} * channel_.codebook.groups,
            channel_.options.dead);
  // What a round has left is what the next has left and the codewords that the next took from it.
  const auto residuals = kernels::make_tiles<T>(channel_.tokens, channel_.codebook.columns());
  Kokkos::deep_copy(exec, residuals, residuals_);
  std::vector<double> squares(channel_.options.rounds + 1, kernels::sum_of_squares<T>(exec, residuals));
  for (int round = rounds_ - 1; round >= 0; --round) {
    kernels::add_codewords<T>(exec, residuals, indices_of(round), published_.round(round), channel_.codebook);
    squares[round] = kernels::sum_of_squares<T>(exec, residuals);
  }
  std::vector<double> values = {perplexity, dead};
  for (int round = 0; round < channel_.options.rounds; ++round) {
    values.push_back(squares[0] > 0.0 ? std::sqrt(squares[round + 1] / squares[0]) : 0.0);
  }
  return values;
}

template <class T>
std::int64_t RvqEncoder<T>::bytes_needed(const RvqChannel& channel) {
  constexpr std::int64_t number = sizeof(T), real = sizeof(double), index = sizeof(std::uint16_t);
  const std::int64_t codewords = channel.all_codewords(), width = channel.codebook.width;
  const std::int64_t statistics = 2 * codewords * (1 + width) * real;
  const std::int64_t tiles =
      kernels::tile_count(channel.tokens) * kernels::tile_tokens * channel.codebook.columns() * number;
  const std::int64_t indices =
      std::int64_t{channel.options.rounds} * channel.codebook.groups * channel.tokens * index;
  return PublishedCodebook<T>::bytes_needed(channel) + codewords * width * number + statistics + tiles +
         indices;
}

template <class T>
void RvqEncoder<T>::save(const ExecutionSpace& exec, io::Group group) const {
  published_.save(exec, group);
  if (!published_.started()) return;
  io::write_tensor(group, "master", exec, master_);
  io::write_tensor(group, "counts", exec, average_.counts);
  io::write_tensor(group, "sums", exec, average_.sums);
}

template <class T>
bool RvqEncoder<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (!published_.load(exec, group)) return false;
  io::read_tensor(group, "master", exec, master_);
  io::read_tensor(group, "counts", exec, average_.counts);
  io::read_tensor(group, "sums", exec, average_.sums);
  return true;
}

template class RvqEncoder<float>;
template class RvqEncoder<double>;

}  // namespace strait::codec
