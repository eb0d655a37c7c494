// The object of Json: keys keep the order in which they came, and an index finds them once there are many.
// nlohmann::ordered_map walks all keys at every look, so that a file of a megabyte of keys took 13 s to read.
#pragma once

#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace engine {

/// What nlohmann::basic_json asks of an object: the part of a map's interface that it calls.
template <class Key, class T, class IgnoredLess = std::less<Key>,
          class Allocator = std::allocator<std::pair<const Key, T>>>
class OrderedObject : public std::vector<std::pair<const Key, T>, Allocator> {
  using Entries = std::vector<std::pair<const Key, T>, Allocator>;

 public:
  using key_type = Key;
  using mapped_type = T;
  using key_compare = std::equal_to<>;
  using iterator = typename Entries::iterator;
  using const_iterator = typename Entries::const_iterator;
  using value_type = typename Entries::value_type;

  OrderedObject() = default;
  template <class It>
  OrderedObject(It first, It last) {
    insert(first, last);
  }
  OrderedObject(std::initializer_list<value_type> entries) { insert(entries.begin(), entries.end()); }

  iterator find(std::string_view key) { return this->begin() + std::ptrdiff_t(place(key)); }
  const_iterator find(std::string_view key) const { return this->begin() + std::ptrdiff_t(place(key)); }
  size_t count(std::string_view key) const { return place(key) < this->size() ? 1 : 0; }
  T& at(std::string_view key) { return const_cast<T&>(std::as_const(*this).at(key)); }
  const T& at(std::string_view key) const {
    const const_iterator found = find(key);
    if (found == this->end()) throw std::out_of_range("key not found");
    return found->second;
  }

  /// Leaves an entry that is there as it is, as std::map does.
  template <class K>
  std::pair<iterator, bool> emplace(K&& key, T&& value) {
    if (const iterator found = find(key); found != this->end()) return {found, false};
    Entries::emplace_back(std::forward<K>(key), std::move(value));
    index_entries();
    return {std::prev(this->end()), true};
  }
  template <class K>
  T& operator[](K&& key) {
    return emplace(std::forward<K>(key), T{}).first->second;
  }
  const T& operator[](std::string_view key) const { return at(key); }
  std::pair<iterator, bool> insert(const value_type& entry) { return emplace(entry.first, T(entry.second)); }
  template <class It>
  void insert(It first, It last) {
    for (; first != last; ++first) insert(*first);
  }

  iterator erase(const_iterator position) { return erase(position, position + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    // Keys are constant, so that entries cannot be moved within the vector: it is made anew.
    Entries kept;
    kept.reserve(this->size());
    const std::ptrdiff_t at = first - this->begin(), after = last - this->begin();
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t(this->size()); ++i)
      if (i < at || i >= after) kept.push_back(std::move((*this).begin()[i]));
    Entries::swap(kept);
    index_.clear();
    index_entries();
    return this->begin() + at;
  }
  size_t erase(std::string_view key) {
    const const_iterator found = find(key);
    if (found == this->end()) return 0;
    erase(found);
    return 1;
  }
  void clear() {
    Entries::clear();
    index_.clear();
  }

 private:
  static constexpr size_t kFew = 16;  // are walked: faster than an index
  static size_t hash(std::string_view key) { return std::hash<std::string_view>()(key); }

  void index_entries() {
    if (this->size() <= kFew) return;
    for (size_t i = index_.size(); i < this->size(); ++i) index_.emplace(hash(this->begin()[i].first), i);
  }

  /// size() when the key is not there.
  size_t place(std::string_view key) const {
    const Entries& entries = *this;
    if (entries.size() <= kFew) {
      size_t i = 0;
      while (i < entries.size() && entries[i].first != key) ++i;
      return i;
    }
    const auto [first, last] = index_.equal_range(hash(key));
    for (auto it = first; it != last; ++it)
      if (entries[it->second].first == key) return it->second;
    return entries.size();
  }

  std::unordered_multimap<size_t, size_t> index_;  // hash of a key -> its place; empty while there are few
};

}  // namespace engine
