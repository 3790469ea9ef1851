"""The handlers that read pixels: focus-score and preprocess."""

import csv
import hashlib
import io
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from haste_core.features import measure
from haste_core.features.focus import local_focus_score
from haste_core.messages import TaskResult
from haste_core.routing import Roots
from haste_core.states import TaskState
from haste_workers.durable import sha256_of
from tests.unit.imaging.zarr_folders import write_image
from tests.unit.workers.bench import RunTask, cells


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestFocusScore:
    def test_measures_the_original_pixels(self, run_task: RunTask, cells_tiff: Path) -> None:
        result = run_task("focus-score", cells_tiff)
        assert result.state is TaskState.DONE, result.message
        features = measure(cells())
        assert result.response == {
            "plls": features.plls,
            "signal_fraction": features.signal_fraction,
            "empty": False,
            "pixels": "original",
            "width": 256,
            "height": 256,
            "format": "TIFF",
            "dtype": "uint16",
            "bits": 16,
            "colour": False,
            "sha256": sha256(cells_tiff),
            "size_bytes": cells_tiff.stat().st_size,
        }
        assert result.place is None

    def test_makes_a_small_picture_of_what_it_measured(self, run_task: RunTask, cells_tiff: Path) -> None:
        result = run_task("focus-score", cells_tiff)
        assert result.thumbnail is not None
        with PIL.Image.open(io.BytesIO(result.thumbnail)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (128, 128))
        assert TaskResult.decode(result.encode()) == result

        without = run_task("focus-score", cells_tiff, parameters={"thumbnail_px": 0})
        assert without.response == result.response
        assert without.thumbnail is None

    def test_measures_what_the_pipeline_asks_for(self, run_task: RunTask, cells_tiff: Path) -> None:
        asked = {"features": ["local_focus_score", "intensity", "saturated_fraction"], "scale": 7, "bits": 8}
        response = run_task("focus-score", cells_tiff, parameters=asked).response
        assert response["local_focus_score"] == local_focus_score(cells(), scale=7)
        assert response["mean_intensity"] == pytest.approx(cells().mean())
        assert response["saturated_fraction"] == (cells() >= 255).mean()
        assert "undefined_features" not in response
        assert "correlation" not in response

    def test_a_feature_without_a_value_says_why(self, run_task: RunTask, data_dir: Path) -> None:
        path = data_dir / "flat.tif"
        tifffile.imwrite(path, np.full((64, 64), 7, np.uint16))
        response = run_task("focus-score", path, parameters={"features": ["correlation"]}).response
        assert "no texture" in response["undefined_features"]["correlation"]
        assert "correlation" not in response

    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"features": ["sharpness"]}, "there is no feature sharpness; choose from snr"),
            ({"scale": 0}, "scale"),
            ({"bits": "many"}, "bits"),
        ],
    )
    def test_what_nobody_can_measure_is_told(
        self, run_task: RunTask, cells_tiff: Path, parameters: dict[str, object], reason: str
    ) -> None:
        result = run_task("focus-score", cells_tiff, parameters=parameters)
        assert result.state is TaskState.ERROR
        assert reason in result.message

    def test_reads_through_a_root(self, run_task: RunTask, cells_tiff: Path) -> None:
        assert run_task("focus-score", "root://data/A01_s1.tif").state is TaskState.DONE

    def test_stack_is_as_sharp_as_its_sharpest_plane(self, run_task: RunTask, data_dir: Path) -> None:
        sharp = cells().astype(float)
        blurred = sum(np.roll(sharp, shift, (0, 1)) for shift in range(-6, 7)) / 13
        path = data_dir / "stack.tif"
        planes = np.stack([blurred, sharp, blurred]).astype(np.uint16)
        tifffile.imwrite(path, planes, photometric="minisblack")
        response = run_task("focus-score", path).response
        assert (response["planes"], response["plane"]["z"]) == (3, 1)
        assert response["plls"] == pytest.approx(measure(planes[1]).plls)

    def test_colour_is_told(self, run_task: RunTask, data_dir: Path) -> None:
        path = data_dir / "stained.tif"
        tifffile.imwrite(path, np.stack([cells()] * 3, axis=2), photometric="rgb")
        assert run_task("focus-score", path).response["colour"] is True

    def test_undefined_score_says_why_and_is_no_failure(self, run_task: RunTask, data_dir: Path) -> None:
        path = data_dir / "flat.tif"
        tifffile.imwrite(path, np.full((64, 64), 7, np.uint16))
        result = run_task("focus-score", path)
        assert result.state is TaskState.DONE
        assert result.response["plls"] is None
        assert result.response["undefined"]
        assert result.response["empty"] is True

    def test_lossy_operator_is_part_of_what_was_measured(self, run_task: RunTask, cells_tiff: Path) -> None:
        responses = {
            "preprocess": {
                "operator": "floodfill",
                "description": "floodfill(threshold=30)",
                "lossless": False,
            },
            "upload": {"url": "root://landing/x"},
        }
        result = run_task("focus-score", cells_tiff, response=responses)
        assert result.response["pixels"] == "floodfill(threshold=30)"
        responses["preprocess"]["lossless"] = True
        assert run_task("focus-score", cells_tiff, response=responses).response["pixels"] == "original"

    @pytest.mark.parametrize(
        "content", [b"", b"II*\0", b"<html>404 Not Found</html>", b"\x89PNG\r\n\x1a\n" + bytes(50)]
    )
    def test_unreadable_image_is_502(self, run_task: RunTask, data_dir: Path, content: bytes) -> None:
        path = data_dir / "bad.tif"
        path.write_bytes(content)
        result = run_task("focus-score", path)
        assert result.state is TaskState.BAD_INPUT
        assert result.message.startswith("not a readable image: ")

    def test_truncated_image_is_502(self, run_task: RunTask, cells_tiff: Path) -> None:
        cells_tiff.write_bytes(cells_tiff.read_bytes()[:60_000])
        result = run_task("focus-score", cells_tiff)
        assert result.state is TaskState.BAD_INPUT
        assert result.message.startswith("not a readable image: ")

    def test_missing_file_is_404_with_its_path(self, run_task: RunTask, data_dir: Path) -> None:
        result = run_task("focus-score", data_dir / "gone.tif")
        assert result.state is TaskState.SOURCE_MISSING
        assert str(data_dir / "gone.tif") in result.message

    def test_changed_file_is_refused(self, run_task: RunTask, cells_tiff: Path) -> None:
        assert run_task("focus-score", cells_tiff, sha256=sha256(cells_tiff)).state is TaskState.DONE
        result = run_task("focus-score", cells_tiff, sha256="0" * 64)
        assert result.state is TaskState.BAD_INPUT
        assert "has changed" in result.message

    def test_unknown_parameter_is_named(self, run_task: RunTask, cells_tiff: Path) -> None:
        result = run_task("focus-score", cells_tiff, parameters={"treshold": 3})
        assert result.state is TaskState.ERROR
        assert "treshold" in result.message

    @pytest.mark.parametrize("zarr_format", [2, 3])
    def test_a_zarr_folder_is_one_object(self, run_task: RunTask, data_dir: Path, zarr_format: int) -> None:
        blurred = np.mean([np.roll(cells(), shift, (0, 1)) for shift in range(-6, 7)], axis=0)
        path = data_dir / "A01.zarr"
        planes = np.stack([blurred.astype(np.uint16), cells()])
        write_image(path, planes, "zyx", zarr_format=zarr_format)
        result = run_task("focus-score", path)
        assert result.state is TaskState.DONE, result.message
        assert result.response["plls"] == measure(cells()).plls
        assert result.response["plane"]["z"] == 1
        assert result.response["sha256"] == sha256_of(path)
        files = [inside for inside in path.rglob("*") if inside.is_file()]
        assert result.response["size_bytes"] == sum(inside.stat().st_size for inside in files)
        assert run_task("focus-score", path, sha256=sha256_of(path)).state is TaskState.DONE
        written = next(file for file in files if file.name in (".zattrs", "zarr.json"))
        written.write_bytes(written.read_bytes() + b" ")
        assert "has changed" in run_task("focus-score", path, sha256=result.response["sha256"]).message

    def test_other_folders_and_links_in_containers_are_refused(
        self, run_task: RunTask, data_dir: Path, tmp_path: Path
    ) -> None:
        (data_dir / "plate").mkdir()
        (data_dir / "plate" / "link").symlink_to(tmp_path)  # it is not looked into
        elsewhere = write_image(tmp_path / "elsewhere.zarr", cells(), "yx")
        container = data_dir / "a.zarr"
        container.mkdir()
        for inside in elsewhere.iterdir():
            (container / inside.name).symlink_to(inside)
        for path, reason in ((data_dir / "plate", "is a folder"), (container, "a link or no file")):
            result = run_task("focus-score", path)
            assert result.state is TaskState.BAD_INPUT
            assert reason in result.message

    def test_a_zarr_folder_is_not_made_smaller_yet(self, run_task: RunTask, data_dir: Path) -> None:
        path = write_image(data_dir / "a.zarr", cells(), "yx")
        result = run_task("preprocess", path)
        assert result.state is TaskState.BAD_INPUT
        assert "but not made smaller" in result.message

    def test_real_images_get_their_reference_slope(self, run_task: RunTask, shared_dir: Path) -> None:
        images = shared_dir / "data" / "images"
        with (images / "index.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))[::6]
        for row in rows:
            path = images / row["file"]
            result = run_task("focus-score", path, settings={"roots": {"images": images}})
            assert result.response["plls"] == pytest.approx(float(row["plls_reference_f64"]), abs=1e-6)


class TestPreprocess:
    def read(self, tmp_path: Path, url: str) -> Path:
        return Path(Roots.parse({"work": tmp_path / "work"}).path_of(url))

    def test_smaller_file_with_the_same_pixels_becomes_the_place(
        self, run_task: RunTask, cells_tiff: Path, tmp_path: Path
    ) -> None:
        before = cells_tiff.read_bytes()
        result = run_task("preprocess", cells_tiff)
        assert result.state is TaskState.DONE, result.message
        assert result.place is not None
        smaller = self.read(tmp_path, result.place.url)
        assert np.array_equal(tifffile.imread(smaller), cells())
        assert (result.place.sha256, result.place.size_bytes) == (sha256(smaller), smaller.stat().st_size)
        assert smaller.name == f"{result.place.sha256}.tif"
        assert result.response["lossless"] is True
        assert result.response["operator"] == "recompress"
        assert result.response["bytes_before"] == len(before)
        assert result.response["bytes_after"] == smaller.stat().st_size < len(before)
        assert result.response["cpu_s"] >= 0
        assert cells_tiff.read_bytes() == before

    def test_again_is_the_same_place(self, run_task: RunTask, cells_tiff: Path) -> None:
        first, second = run_task("preprocess", cells_tiff), run_task("preprocess", cells_tiff)
        assert first.place == second.place

    def test_what_would_not_get_smaller_is_kept(self, run_task: RunTask, data_dir: Path) -> None:
        path = data_dir / "packed.tif"
        tifffile.imwrite(path, cells(), compression="zlib", predictor=True, compressionargs={"level": 9})
        first = run_task("preprocess", path)
        packed = path if first.place is None else self.read(data_dir.parent, first.place.url)
        result = run_task("preprocess", packed)
        assert result.state is TaskState.DONE
        assert result.place is None
        assert result.response["kept"] is True
        assert result.response["bytes_after"] == result.response["bytes_before"]

    def test_next_task_reads_the_new_place(self, run_task: RunTask, cells_tiff: Path) -> None:
        place = run_task("preprocess", cells_tiff).place
        assert place is not None
        score = run_task("focus-score", place.url, sha256=place.sha256)
        assert score.response["plls"] == measure(cells()).plls

    def test_flood_fill_is_a_marked_derivative(
        self, run_task: RunTask, data_dir: Path, tmp_path: Path
    ) -> None:
        path = data_dir / "grid.tif"
        image = np.full((128, 128), 180, np.uint8)
        image[:, :30] = np.random.default_rng(0).integers(0, 25, (128, 30))
        image[60:70, 60:70] = 5  # dark, but inside the specimen
        tifffile.imwrite(path, image, metadata=None)
        result = run_task("preprocess", path, parameters={"operator": "floodfill", "threshold": 30})
        assert result.state is TaskState.DONE, result.message
        assert result.response["lossless"] is False
        assert result.response["parameters"]["threshold"] == 30
        filled = tifffile.imread(self.read(tmp_path, result.place.url))
        assert (filled[:, :30] == 0).all()
        assert (filled[60:70, 60:70] == 5).all()
        score = run_task("focus-score", path, response={"preprocess": result.response})
        assert score.response["pixels"] == result.response["description"] != "original"

    @pytest.mark.parametrize(
        ("parameters", "said"),
        [
            ({"operator": "sharpen"}, "known here: floodfill, recompress, threshold"),
            ({"threshold": 30}, "recompress"),
            ({"operators": []}, "operators"),
            ({"operators": [30]}, "operators[0]"),
            ({"operators": [{"threshold": 30}]}, "operators[0].operator"),
            ({"operators": ["floodfill", {"operator": "threshold", "bits": 8}]}, "bits"),
            ({"operators": ["floodfill"], "operator": "floodfill"}, "beside operators"),
            ({"operators": ["floodfill"], "threshold": 20}, "beside operators"),
            ({"codec": "gif"}, "codec"),
            ({"effort": "most"}, "effort"),
            ({"operator": "floodfill", "threshold": 300}, "300"),
            ({"operator": "floodfill", "threshold": -1}, "threshold"),
        ],
    )
    def test_wrong_parameters_are_named(
        self, run_task: RunTask, cells_tiff: Path, parameters: dict, said: str
    ) -> None:
        result = run_task("preprocess", cells_tiff, parameters=parameters)
        assert result.state is TaskState.ERROR
        assert said in result.message

    def test_a_chain_is_a_derivative_if_one_of_its_operators_is_lossy(
        self, run_task: RunTask, data_dir: Path, tmp_path: Path
    ) -> None:
        path = data_dir / "grid.png"
        image = np.random.default_rng(0).integers(0, 60, (128, 128)).astype(np.uint8)
        image[30:90, 30:90] += 100
        path.write_bytes(bytes(imagecodecs.png_encode(image)))
        steps = ["floodfill", {"operator": "threshold", "threshold": 110}, "recompress"]
        result = run_task("preprocess", path, parameters={"operators": steps, "codec": "jxl"})
        assert result.state is TaskState.DONE, result.message
        response = result.response
        assert response["operator"] == "floodfill+threshold+recompress"
        assert response["lossless"] is False
        assert response["parameters"]["operators"][1] == {
            "operator": "threshold",
            "threshold": 110,
            "bit_depth": 8,
        }
        smaller = self.read(tmp_path, result.place.url)
        assert smaller.suffix == ".jxl"
        pixels = imagecodecs.jpegxl_decode(smaller.read_bytes())
        np.testing.assert_array_equal(pixels, np.where(image < 110, 0, image))
        assert response["bytes_before"] == path.stat().st_size
        assert response["bytes_after"] == smaller.stat().st_size < response["bytes_before"]
        assert 0 < response["cpu_s"] < 10
        both = "floodfill(threshold=30, bit_depth=8) + threshold(threshold=110, bit_depth=8)"
        score = run_task(
            "focus-score", result.place.url, sha256=result.place.sha256, response={"preprocess": response}
        )
        assert (score.response["pixels"], score.response["format"]) == (both, "JPEG XL")

    def test_a_chain_without_loss_keeps_the_pixels(
        self, run_task: RunTask, cells_tiff: Path, tmp_path: Path
    ) -> None:
        parameters = {"operators": ["recompress", {"operator": "recompress"}], "codec": "zstd"}
        result = run_task("preprocess", cells_tiff, parameters=parameters)
        assert (result.response["lossless"], result.response["codec"]) == (True, "zstd")
        assert np.array_equal(tifffile.imread(self.read(tmp_path, result.place.url)), cells())

    def test_unreadable_image_is_502(self, run_task: RunTask, data_dir: Path) -> None:
        path = data_dir / "bad.tif"
        path.write_bytes(b"nothing")
        result = run_task("preprocess", path)
        assert result.state is TaskState.BAD_INPUT
        assert result.place is None
