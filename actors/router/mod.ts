/**
 * Routers: the confidence cascade over a family's levels, its calibration file and the fit of its thresholds.
 * @module
 */
export {
  type CalibratedLevel,
  type Calibration,
  CALIBRATION_VERSION,
  CalibrationError,
  type CalibrationFit,
  matchCalibration,
  parseCalibration,
} from "./calibration.ts";
export { isHopeless, lowQuantile } from "./confidence.ts";
export {
  fitThresholds,
  type LabelledItem,
  type OperatingPoint,
  type Outcome,
  replay,
} from "./fit.ts";
export { Level, type LevelOptions, type StreamControl } from "./level.ts";
export { activeParameters, type LevelModel, openLevelModel } from "./level_model.ts";
export type { OfferedReplica, Outlook } from "./replica_set.ts";
export { type Family, Router, type RouterState } from "./router.ts";
