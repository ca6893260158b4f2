#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include "support/errors.hpp"
#include "support/rtx.hpp"
#include "tf2trt/builder.hpp"

namespace tf2trt {
namespace {

using test::throws;
using BuilderProgressTest = test::RtxTest;

struct Report {
  std::string phase;
  std::string parent;
  int step;
  int steps;
};

TEST_F(BuilderProgressTest, PhasesAreReportedFromTheirStartToTheirEnd) {
  std::mutex mutex;
  std::vector<Report> reports;
  build(library(), small(), usual(), [&](std::string const& phase, std::string const& parent, int step, int steps) {
    std::scoped_lock const lock(mutex);
    reports.push_back({phase, parent, step, steps});
    return true;
  });
  ASSERT_GE(reports.size(), 2U);
  EXPECT_EQ(reports.front().parent, "");
  EXPECT_EQ(reports.front().step, 0);
  EXPECT_EQ(reports.back().phase, reports.front().phase);
  EXPECT_EQ(reports.back().step, reports.back().steps);
  for (auto const& report : reports) {
    EXPECT_FALSE(report.phase.empty());
    EXPECT_GE(report.step, 0);
    EXPECT_LE(report.step, report.steps) << report.phase;
  }
}

TEST_F(BuilderProgressTest, FalseStopsTheBuild) {
  std::string const path = small();
  int calls = 0;
  EXPECT_TRUE(throws(ErrorKind::kBuild, {"stopped"}, [&] {
    build(library(), path, usual(), [&](auto const&... /*all*/) {
      ++calls;
      return false;
    });
  }));
  EXPECT_EQ(calls, 1);
}

// At whichever report the listener says so.
TEST_F(BuilderProgressTest, FalseAtAnyTimeStopsTheBuild) {
  std::string const path = small();
  int all = 0;
  build(library(), path, usual(), [&](auto const&... /*all*/) { return ++all > 0; });
  for (int const last : {2, all / 2, all}) {
    int calls = 0;
    EXPECT_TRUE(
        throws(ErrorKind::kBuild, {"stopped"},
               [&] { build(library(), path, usual(), [&](auto const&... /*all*/) { return ++calls < last; }); }))
        << last << " of " << all;
  }
}

TEST_F(BuilderProgressTest, WhatTheListenerThrowsComesOut) {
  std::string const path = small();
  int calls = 0;
  auto const listener = [&](auto const&... /*all*/) -> bool {
    if (++calls == 2) throw std::range_error("from the listener");
    return true;
  };
  try {
    build(library(), path, usual(), listener);
    ADD_FAILURE() << "nothing was thrown";
  } catch (std::range_error const& error) {
    EXPECT_STREQ(error.what(), "from the listener");
  }
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace tf2trt
