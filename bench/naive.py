"""What people write first: one process with both models, a coin, and a list of what happened.

Compared with by serving.py: `uvicorn naive:app`. Users are not remembered, the list is lost with
the process, and a slow or broken candidate takes the other model down with it.
"""

import random
from pathlib import Path

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

MODELS = Path(__file__).parents[1] / "model_servers"
TREATMENT_SHARE = 0.5

app = FastAPI()
control = joblib.load(MODELS / "v1" / "model.joblib")
treatment = joblib.load(MODELS / "v2" / "model.joblib")
log: list[dict] = []


class Flower(BaseModel):
    features: list[float]


@app.post("/predict")
def predict(flower: Flower) -> dict:
    variant = "treatment" if random.random() < TREATMENT_SHARE else "control"
    model = treatment if variant == "treatment" else control
    prediction = int(model.predict([flower.features])[0])
    log.append({"variant": variant, "features": flower.features, "prediction": prediction})
    return {"variant": variant, "prediction": prediction}
