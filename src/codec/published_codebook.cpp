#include "published_codebook.hpp"

#include "strait/core/scratch.hpp"
#include "strait/io/tensor.hpp"
#include "strait/kernels/checksum.hpp"

namespace strait::codec {
namespace {

constexpr const char* dataset = "published";

/// Where the codewords of a turn, which a message holds group by group, lie in a round's codebook.
class TurnRows {
 public:
  TurnRows(const RvqChannel& channel, const kernels::CodewordTurn& turn)
      : first_(turn.first), count_(turn.count), codewords_(channel.codebook.codewords) {}

  KOKKOS_FUNCTION std::int64_t operator()(std::int64_t row) const {
    return row / count_ * codewords_ + (first_ + row % count_) % codewords_;
  }

 private:
  std::int64_t first_, count_, codewords_;
};

constexpr std::int64_t checksum_bytes = sizeof(std::uint64_t);

}  // namespace

void write_checksum(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                    const Vector<std::uint64_t>& sum) {
  Kokkos::parallel_for(
      "strait::codec::write_checksum", RangePolicy(exec, 0, checksum_bytes),
      KOKKOS_LAMBDA(std::int64_t k) { bytes(offset + k) = static_cast<std::uint8_t>(sum(0) >> (8 * k)); });
}

std::uint64_t read_checksum(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes,
                            std::int64_t offset) {
  const auto host = to_host(exec, Kokkos::subview(bytes, std::make_pair(offset, offset + checksum_bytes)));
  std::uint64_t sum = 0;
  for (std::int64_t k = 0; k < checksum_bytes; ++k) sum |= std::uint64_t{host(k)} << (8 * k);
  return sum;
}

template <class T>
PublishedCodebook<T>::PublishedCodebook(const RvqChannel& channel)
    : channel_(channel),
      codewords_("strait::codec::codewords", channel.all_codewords(), channel.codebook.width),
      staged_("strait::codec::codewords_staged", channel.codebook.all_codewords(), channel.codebook.width),
      history_("strait::codec::codewords_history", 1) {}

template <class T>
ConstMatrix<T> PublishedCodebook<T>::round(int round) const {
  return rows(codewords_, channel_.first_codeword(round), channel_.first_codeword(round + 1));
}

template <class T>
std::int64_t PublishedCodebook<T>::round_offset(const RvqMessage& message, int round) const {
  return message.codewords +
         std::int64_t{round} * channel_.codebook.columns() * message.turn.count * wire_bytes(channel_.wire);
}

template <class T>
void PublishedCodebook<T>::write(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes,
                                 const RvqMessage& message, int round, ConstMatrix<T> master) const {
  const TurnRows place(channel_, message.turn);
  const std::int64_t count = message.turn.count, width = channel_.codebook.width;
  const std::int64_t entries = count * channel_.codebook.columns();
  const auto staged = staged_;
  Kokkos::parallel_for(
      "strait::codec::stage_codewords", RangePolicy(exec, 0, entries), KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t row = entry / width, d = entry % width;
        staged(row, d) = master(place(row), d);
      });
  pack<T>(exec, bytes, round_offset(message, round), rows(staged_, 0, count * channel_.codebook.groups),
          channel_.wire);
}

template <class T>
void PublishedCodebook<T>::read(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes,
                                const RvqMessage& message, int round) const {
  const TurnRows place(channel_, message.turn);
  const std::int64_t count = message.turn.count, width = channel_.codebook.width;
  const std::int64_t entries = count * channel_.codebook.columns();
  unpack<T>(exec, rows(staged_, 0, count * channel_.codebook.groups), bytes, round_offset(message, round),
            channel_.wire);
  const auto staged = staged_;
  const auto own = rows(codewords_, channel_.first_codeword(round), channel_.first_codeword(round + 1));
  Kokkos::parallel_for(
      "strait::codec::publish_codewords", RangePolicy(exec, 0, entries), KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t row = entry / width, d = entry % width;
        own(place(row), d) = staged(row, d);
      });
}

template <class T>
void PublishedCodebook<T>::advance(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes,
                                   const RvqMessage& message) {
  constexpr std::uint64_t multiplier = 0xD1342543DE82EF95u;
  const std::int64_t size = round_offset(message, channel_.options.rounds) - round_offset(message, 0);
  const ConstVector<std::uint8_t> codewords(bytes.data() + message.codewords, size);
  const auto sum = scratch<std::uint64_t>("strait::codec::codewords_sum", 1);
  kernels::checksum<std::uint8_t>(exec, sum, codewords);
  const auto history = history_;
  Kokkos::parallel_for(
      "strait::codec::add_to_history", RangePolicy(exec, 0, 1),
      KOKKOS_LAMBDA(std::int64_t) { history(0) = history(0) * multiplier + sum(0); });
  next_ = (message.turn.first + message.turn.count) % channel_.codebook.codewords;
  started_ = true;
}

template <class T>
void PublishedCodebook<T>::checksum(const ExecutionSpace& exec, const Vector<std::uint64_t>& sum) const {
  kernels::checksum<T>(exec, sum, ConstVector<T>(codewords_.data(), codewords_.size()));
  const auto history = history_;
  Kokkos::parallel_for(
      "strait::codec::add_history", RangePolicy(exec, 0, 1),
      KOKKOS_LAMBDA(std::int64_t) { sum(0) += history(0); });
}

template <class T>
std::uint64_t PublishedCodebook<T>::checksum(const ExecutionSpace& exec) const {
  const auto sum = scratch<std::uint64_t>("strait::codec::codewords_sum", 1);
  checksum(exec, sum);
  return to_host(exec, sum)(0);
}

template <class T>
std::int64_t PublishedCodebook<T>::bytes_needed(const RvqChannel& channel) {
  constexpr std::int64_t number = sizeof(T);
  return (channel.all_codewords() + channel.codebook.all_codewords()) * channel.codebook.width * number +
         checksum_bytes;
}

template <class T>
void PublishedCodebook<T>::save(const ExecutionSpace& exec, io::Group group) const {
  if (!started_) return;
  const auto host = to_host(exec, codewords_);
  group.write(dataset, host.data(), channel_.codebook_shape());
  group.set_attribute("next", next_);
  group.set_attribute("history", static_cast<std::int64_t>(to_host(exec, history_)(0)));
}

template <class T>
bool PublishedCodebook<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (!group.has(dataset) || group.dataset(dataset).shape() != channel_.codebook_shape()) return false;
  const auto host = host_like(codewords_);
  group.read(dataset, host.data(), channel_.codebook_shape());
  to_device(exec, codewords_, host);
  next_ = static_cast<int>(group.attribute<std::int64_t>("next"));
  const auto history = host_like(history_);
  history(0) = static_cast<std::uint64_t>(group.attribute<std::int64_t>("history"));
  to_device(exec, history_, history);
  started_ = true;
  return true;
}

template class PublishedCodebook<float>;
template class PublishedCodebook<double>;

}  // namespace strait::codec
