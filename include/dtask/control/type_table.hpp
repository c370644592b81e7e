// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

class worker_class;

/// The queued jobs of one type from one session, in the order of their submission.
struct lane {
  job_list jobs;
  std::uint32_t session = none;
  std::uint64_t turn = 0;  ///< when it was last served
  std::uint16_t type = 0;
  bool suspended = false;  ///< its jobs wait until the session has taken results
  lane* next = nullptr;    ///< in the ring of the type's lanes that have jobs and are not suspended
  lane* prev = nullptr;
};

/// A (name, schema) pair that some peer registered.
struct type_record {
  std::uint32_t generation = 0;
  std::string name;
  std::string signature;
  std::uint64_t schema = 0;
  std::uint32_t refs = 0;     ///< hellos that name it
  std::uint32_t workers = 0;  ///< workers that take jobs of it, or will when they are heard again
  std::string worker_label;   ///< the last worker that registered it, for the error of a mismatch
  lane* ring = nullptr;       ///< the lane whose turn it is
  std::uint32_t queued = 0;
  std::uint32_t active_at = none;    ///< position among the types with queued jobs
  wire::row<worker_class*> classes;  ///< kinds of workers that have it
};

/// All job types that peers registered, each once. Placement compares one number; names and schemas are compared only
/// when a peer says hello.
class type_table {
 public:
  static constexpr std::uint32_t limit = 0xfff0;

  /// The number of this type, with one more reference; `none` where the table is full.
  std::uint32_t acquire(const wire::job_type& what);
  void release(std::uint32_t t);
  /// All types of this name, whatever their schema.
  const std::vector<std::uint32_t>& named(const std::string& name) const {
    static const std::vector<std::uint32_t> nothing;
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nothing : found->second;
  }
  /// A type of the same name and another schema that has workers, or `none`.
  std::uint32_t rival(std::uint32_t t) const;
  type_record& operator[](std::uint32_t t) noexcept { return types_[t]; }
  std::uint32_t size() const noexcept { return types_.size(); }

 private:
  slab<type_record> types_;
  std::unordered_map<std::string, std::vector<std::uint32_t>> by_name_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/type_table.ipp"
#endif
