// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/job/blob_source.hpp"

DTASK_BEGIN
namespace detail {

/// The values of one client session at one moment: never changed once shared, so that a job sees what was
/// there when it started.
class blob_table final : public blob_source {
 public:
  found find(std::string_view name) const override {
    const auto at = values_.find(name);
    return at == values_.end() ? found{} : at->second;
  }
  /// A table with one value more, or newer.
  static std::shared_ptr<const blob_table> with(const std::shared_ptr<const blob_table>& before, std::string name,
                                                bytes value, std::uint64_t version) {
    auto after = before ? std::make_shared<blob_table>(*before) : std::make_shared<blob_table>();
    after->values_.insert_or_assign(std::move(name), found{std::move(value), version, true});
    return after;
  }
  /// One in which a value is known and does not lie here.
  static std::shared_ptr<const blob_table> announcing(const std::shared_ptr<const blob_table>& before, std::string name,
                                                      std::uint64_t version) {
    auto after = before ? std::make_shared<blob_table>(*before) : std::make_shared<blob_table>();
    after->values_.insert_or_assign(std::move(name), found{{}, version, false});
    return after;
  }
  /// One without a value of this name.
  static std::shared_ptr<const blob_table> without(const std::shared_ptr<const blob_table>& before,
                                                   const std::string& name) {
    auto after = before ? std::make_shared<blob_table>(*before) : std::make_shared<blob_table>();
    after->values_.erase(name);
    return after;
  }

 private:
  std::map<std::string, found, std::less<>> values_;
};

}  // namespace detail
DTASK_END
