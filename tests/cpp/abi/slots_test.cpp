#include "abi/slots.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "support/apis.hpp"
#include "support/errors.hpp"

namespace tf2trt::abi {
namespace {

using test::api10;
using test::api11;
using test::api8;
using test::throws;

TEST(Slots, DifferBetweenGenerations) {
  EXPECT_EQ(api8().slot(Method::VBuilder_createNetworkV2), 11);
  EXPECT_EQ(api10().slot(Method::VBuilder_createNetworkV2), 8);
  EXPECT_EQ(api11().slot(Method::VBuilder_createNetworkV2), 6);
}

TEST(Slots, AreTheSameWithinAGeneration) {
  EXPECT_EQ(Api(8, {8, 5, 3}).slot(Method::VBuilder_createNetworkV2), 11);
  EXPECT_EQ(Api(10, {10, 0, 1}).slot(Method::VBuilder_createNetworkV2), 8);
  EXPECT_EQ(Api(11, {11, 4, 0}).slot(Method::VBuilder_createNetworkV2), 6);
}

TEST(Slots, ApiKnowsItsGeneration) {
  EXPECT_EQ(api8().generation(), 8);
  EXPECT_EQ(api10().generation(), 10);
  EXPECT_EQ(api11().generation(), 11);
}

TEST(Slots, AbsentMethodIsRefusedByName) {
  EXPECT_FALSE(api8().has(Method::VBuilderConfig_setProgressMonitor));
  EXPECT_FALSE(api11().has(Method::VBuilder_platformHasFastFp16));
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"8.6", "VBuilderConfig_setProgressMonitor"},
                     [] { (void)api8().slot(Method::VBuilderConfig_setProgressMonitor); }));
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"11.1", "VBuilder_platformHasFastFp16"},
                     [] { (void)api11().slot(Method::VBuilder_platformHasFastFp16); }));
}

TEST(Slots, AbsentEnumeratorIsRefusedByName) {
  EXPECT_FALSE(api11().has(Value::BuilderFlag_kFP16));
  EXPECT_EQ(api11().raw(Value::BuilderFlag_kFP16), -1);
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"11", "BuilderFlag_kFP16"},
                     [] { (void)api11().value(Value::BuilderFlag_kFP16); }));
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"8", "DataType_kINT64"},
                     [] { (void)api8().value(Value::DataType_kINT64); }));
}

TEST(Slots, EnumeratorsAreRenumberedBetweenGenerations) {
  EXPECT_EQ(api8().value(Value::BuilderFlag_kVERSION_COMPATIBLE), 15);
  EXPECT_EQ(api10().value(Value::BuilderFlag_kVERSION_COMPATIBLE), 13);
  EXPECT_EQ(api11().value(Value::BuilderFlag_kVERSION_COMPATIBLE), 12);
}

// The builder asks for it by TensorRT's version: 8.5 has the function that takes it, but not the enumerator.
TEST(Slots, ProfileSharingIsAPreviewFeatureOf8And10) {
  EXPECT_EQ(api8().value(Value::PreviewFeature_kPROFILE_SHARING_0806), 2);
  EXPECT_EQ(api10().value(Value::PreviewFeature_kPROFILE_SHARING_0806), 0);
  EXPECT_FALSE(api11().has(Value::PreviewFeature_kPROFILE_SHARING_0806));
  EXPECT_TRUE(Api(8, {8, 5, 0}).has(Method::VBuilderConfig_setPreviewFeature));
}

TEST(Slots, MethodsOfLaterMinorVersionsAreAbsentBefore) {
  Api const before(8, {8, 4, 3});
  EXPECT_FALSE(before.has(Method::VExecutionContext_enqueueV3));
  EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"TensorRT 8.4", "VExecutionContext_enqueueV3"},
                     [&] { (void)before.slot(Method::VExecutionContext_enqueueV3); }));
  Api const after(8, {8, 5, 0});
  EXPECT_TRUE(after.has(Method::VExecutionContext_enqueueV3));
  EXPECT_EQ(after.slot(Method::VExecutionContext_enqueueV3), 44);
}

TEST(Slots, ALaterMajorVersionHasWhatAnEarlierMinorBrought) {
  EXPECT_FALSE(Api(10, {10, 0, 9}).has(Method::VCudaEngine_getDeviceMemorySizeV2));
  EXPECT_TRUE(Api(10, {10, 1, 0}).has(Method::VCudaEngine_getDeviceMemorySizeV2));
  EXPECT_TRUE(Api(10, {11, 0, 0}).has(Method::VCudaEngine_getDeviceMemorySizeV2));
}

TEST(Slots, EarlyAccess860HasItsOwnPluginRegistry) {
  Api const early(8, {8, 6, 0});
  EXPECT_EQ(early.slot(Method::IPluginRegistry_loadLibrary), 5);
  EXPECT_EQ(early.slot(Method::IPluginRegistry_deregisterLibrary), 6);
  EXPECT_EQ(api8().slot(Method::IPluginRegistry_loadLibrary), 10);
  EXPECT_EQ(api8().slot(Method::IPluginRegistry_deregisterLibrary), 11);
}

TEST(Slots, EarlyAccess860LacksTheParserFlags) {
  Api const early(8, {8, 6, 0});
  EXPECT_FALSE(early.has(Method::IParser_setFlag));
  EXPECT_TRUE(
      throws(ErrorKind::kUnsupportedVersion, {"IParser_setFlag"}, [&] { (void)early.slot(Method::IParser_setFlag); }));
  EXPECT_EQ(api8().slot(Method::IParser_setFlag), 15);
}

TEST(Slots, CreatorsAreRegisteredThroughTheRegistry) {
  EXPECT_EQ(api8().slot(Method::IPluginRegistry_registerCreator), 0);
  EXPECT_EQ(api10().slot(Method::IPluginRegistry_registerCreator), 12);
  EXPECT_EQ(api11().slot(Method::IPluginRegistry_registerCreator), 8);
  EXPECT_EQ(Api(8, {8, 5, 0}).slot(Method::IPluginRegistry_deregisterCreator), 7);
  EXPECT_EQ(Api(8, {8, 6, 0}).slot(Method::IPluginRegistry_deregisterCreator), 11);
  EXPECT_EQ(api8().slot(Method::IPluginRegistry_deregisterCreator), 7);
}

// 8 finds IPluginCreator, 11 what came in its place; 10 has both.
TEST(Slots, CreatorsAreFoundByTheirGenerationsMethod) {
  EXPECT_TRUE(api8().has(Method::IPluginRegistry_getPluginCreator));
  EXPECT_FALSE(api8().has(Method::IPluginRegistry_getCreator));
  EXPECT_TRUE(api10().has(Method::IPluginRegistry_getPluginCreator));
  EXPECT_TRUE(api10().has(Method::IPluginRegistry_getCreator));
  EXPECT_FALSE(api11().has(Method::IPluginRegistry_getPluginCreator));
  EXPECT_TRUE(api11().has(Method::IPluginRegistry_getCreator));
  EXPECT_FALSE(Api(8, {8, 5, 3}).has(Method::IPluginRegistry_loadLibrary));
}

// plugins/sdk/plugin_v3.cpp serves 10 and 11 by 10's table, plugin_v2.cpp 8.5 and 8.6 by 8.5's.
TEST(Slots, ExpressionsAreTheSameWhereOnePluginServesTwo) {
  for (Method const method : {Method::VExprBuilder_constant, Method::VExprBuilder_operation}) {
    EXPECT_EQ(Api(10, {10, 0, 0}).slot(method), api10().slot(method));
    EXPECT_EQ(Api(10, {10, 0, 0}).slot(method), api11().slot(method));
    EXPECT_EQ(Api(8, {8, 5, 0}).slot(method), api8().slot(method));
  }
  for (Value const value :
       {Value::DimensionOperation_kSUM, Value::DimensionOperation_kSUB, Value::DimensionOperation_kPROD,
        Value::DimensionOperation_kMAX, Value::DimensionOperation_kMIN, Value::DimensionOperation_kFLOOR_DIV,
        Value::DimensionOperation_kCEIL_DIV}) {
    EXPECT_EQ(api10().value(value), api11().value(value)) << name_of(value);
    EXPECT_EQ(api8().value(value), api10().value(value)) << name_of(value);
  }
}

// 11 has neither calibrators nor anything but the graph to tell a layer's type by.
TEST(Slots, CalibratorsAreOf8And10) {
  EXPECT_EQ(api8().slot(Method::IInt8Calibrator_getBatchSize), 0);
  EXPECT_EQ(api8().slot(Method::IInt8LegacyCalibrator_getQuantile), 7);
  EXPECT_EQ(api10().slot(Method::IInt8Calibrator_getBatchSize), 4);
  EXPECT_EQ(api10().slot(Method::IInt8LegacyCalibrator_getQuantile), 9);
  for (Method const method : {Method::IInt8Calibrator_getBatch, Method::VBuilderConfig_setInt8Calibrator,
                              Method::VBuilderConfig_setCalibrationProfile, Method::VLayer_setPrecision}) {
    EXPECT_TRUE(Api(8, {8, 5, 0}).has(method)) << name_of(method);
    EXPECT_TRUE(Api(10, {10, 0, 0}).has(method)) << name_of(method);
    EXPECT_FALSE(api11().has(method)) << name_of(method);
  }
  EXPECT_FALSE(api11().has(Value::CalibrationAlgoType_kMINMAX_CALIBRATION));
}

// plugins/sdk/library.cpp knows only the generation of the TensorRT that it tells of errors.
TEST(Slots, TheLoggerIsTheSameInAGeneration) {
  EXPECT_EQ(Api(8, {8, 5, 0}).slot(Method::ILogger_log), api8().slot(Method::ILogger_log));
  EXPECT_EQ(Api(10, {10, 0, 0}).slot(Method::ILogger_log), api10().slot(Method::ILogger_log));
  EXPECT_EQ(Api(11, {11, 0, 0}).slot(Method::ILogger_log), api11().slot(Method::ILogger_log));
  EXPECT_EQ(api10().slot(Method::ILoggerFinder_findLogger), 0);
  EXPECT_EQ(api11().slot(Method::ILoggerFinder_findLogger), 4);
}

TEST(Slots, UnknownGenerationIsRefused) {
  for (int const generation : {-1, 0, 7, 9, 12}) {
    EXPECT_TRUE(throws(ErrorKind::kUnsupportedVersion, {"generation " + std::to_string(generation), "8, 10 or 11"},
                       [&] { (void)Api(generation, {generation, 0, 0}); }));
  }
}

TEST(Slots, NamesAreThoseOfTheTables) {
  EXPECT_STREQ(name_of(Method::VBuilder_createNetworkV2), "VBuilder_createNetworkV2");
  EXPECT_STREQ(name_of(Value::BuilderFlag_kFP16), "BuilderFlag_kFP16");
}

std::string class_of(Method method) {
  std::string const name = name_of(method);
  return name.substr(0, name.find('_'));
}

TEST(Slots, NoTwoMethodsOfAClassShareASlot) {
  for (Api const& api : {api8(), api10(), api11(), Api(8, {8, 5, 0})}) {
    std::set<std::pair<std::string, int>> taken;
    for (int i = 0; i < static_cast<int>(Method::kCount); ++i) {
      auto const method = static_cast<Method>(i);
      if (!api.has(method)) continue;
      EXPECT_GE(api.slot(method), 0) << name_of(method);
      EXPECT_TRUE(taken.emplace(class_of(method), api.slot(method)).second) << name_of(method);
    }
    EXPECT_GT(taken.size(), 80U);
  }
}

TEST(Slots, ApiMethodsLieBehindTheDestructor) {
  for (Api const& api : {api8(), api10(), api11()}) {
    for (int i = 0; i < static_cast<int>(Method::kCount); ++i) {
      auto const method = static_cast<Method>(i);
      if (name_of(method)[0] != 'V' || !api.has(method)) continue;
      EXPECT_GE(api.slot(method), 2) << name_of(method);
    }
  }
}

}  // namespace
}  // namespace tf2trt::abi
