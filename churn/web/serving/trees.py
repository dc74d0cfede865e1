"""A LightGBM model's log-odds for one row, by the call of its C interface that is made for one row.

`Booster.predict` sets up anew at every call what this sets up once, which takes ten times as long as the trees
themselves; the numbers are the same, to the bit. See "Predicting a single row" in LightGBM's C API:
LGBM_BoosterPredictForMatSingleRowFastInit.
"""

import ctypes
import threading
import weakref
from collections.abc import Sequence
from typing import Any

RAW_SCORE, DOUBLE = 1, 1  # C_API_PREDICT_RAW_SCORE, C_API_DTYPE_FLOAT64
ALL = -1  # trees


class SingleRow:
    """One model's; threads may share it."""

    def __init__(self, booster: Any) -> None:
        from lightgbm.basic import _LIB, _safe_call

        self._library, self._checked = _LIB, _safe_call
        width = booster.num_feature()
        self._row = ctypes.c_double * width
        self._model, self._setting = ctypes.c_void_p(), ctypes.c_void_p()
        # A copy of its own, which nobody else changes or lets go of.
        text = booster.model_to_string().encode()
        _safe_call(_LIB.LGBM_BoosterLoadModelFromString(text, ctypes.byref(ctypes.c_int()), ctypes.byref(self._model)))
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                *(self._model, RAW_SCORE, 0, ALL, DOUBLE, ctypes.c_int32(width), b"num_threads=1"),
                ctypes.byref(self._setting),
            )
        )
        weakref.finalize(self, _let_go, _LIB, self._model, self._setting)
        self._length, self._result = ctypes.c_int64(), ctypes.c_double()
        self._using = threading.Lock()  # the setting holds what is being computed

    def log_odds(self, encoded: Sequence[float]) -> float:
        """The log-odds of an encoded row, before calibration."""
        row = self._row(*encoded)
        with self._using:
            self._checked(
                self._library.LGBM_BoosterPredictForMatSingleRowFast(
                    self._setting, row, ctypes.byref(self._length), ctypes.byref(self._result)
                )
            )
            return self._result.value


def _let_go(library: Any, model: ctypes.c_void_p, setting: ctypes.c_void_p) -> None:
    library.LGBM_FastConfigFree(setting)
    library.LGBM_BoosterFree(model)
